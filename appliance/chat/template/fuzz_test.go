package template

import (
	"testing"

	"skerry/appliance/infer"
)

// Whatever a template does, the parts of the prompt are the prompt.
func FuzzTemplate(f *testing.F) {
	for _, source := range []string{ // small, or minimizing takes all the time
		`{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim }}{% endfor %}`,
		`{%- set ns = namespace(x=1) -%}{% set ns.x = ns.x + 1 %}{{ ns.x if ns.x > 1 else 'a' }}`,
		`{% macro f(a, b=2) %}{{ a ~ b }}{% endmacro %}{{ f(1) }}{# x #}{{ messages[-1].content[1:] }}`,
		`{% if tools is defined and not x %}{{ tools | tojson(indent=2) }}{% elif a in [1, 'b'] %}{% else %}{{ {'a': 1}.items() }}{% endif %}`,
		`{{ messages[0].content.split('|')[-1].lstrip('\n') }}{{ range(3) | join(', ') }}{% break %}`,
	} {
		f.Add(source)
	}
	m := []infer.Message{{Role: "system", Content: "s"}, {Role: "user", Content: "<|x|>"}}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := New(source, "<s>", "</s>")
		if err != nil {
			return
		}
		if parts, err := p.RenderParts(m, nil, true, nil); err == nil {
			if whole, err := p.Render(m, nil, true, nil); err != nil || whole != joinParts(parts) {
				t.Fatalf("%q %q %v", whole, joinParts(parts), err)
			}
		}
	})
}
