package chat

import (
	"strings"
	"testing"
	"time"

	"skerry/appliance/answer"
)

// Templates made to hang, to eat memory or to read files end in one line of error.
// Which limit they meet is counted, so that this does not depend on the machine.
func TestHostileTemplates(t *testing.T) {
	m := []answer.Message{{Role: "user", Content: strings.Repeat("words ", 1000)}}
	for name, source := range map[string]string{
		"recursion":      `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"mutual":         `{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"alias":          `{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}`,
		"tree":           `{% macro f(n) %}{% if n < 30 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}`,
		"range":          `{% for i in range(1000000000) %}x{% endfor %}`,
		"loops":          strings.Repeat(`{% for i in range(20000) %}`, 6) + "x" + strings.Repeat(`{% endfor %}`, 6),
		"quiet":          strings.Repeat(`{% for i in range(20000) %}`, 6) + strings.Repeat(`{% endfor %}`, 6),
		"doubling":       `{% set ns = namespace(x=messages[0].content) %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`,
		"doubling set":   `{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}`,
		"lists":          `{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}`,
		"itself":         `{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}`,
		"itself json":    `{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}`,
		"product":        `{{ messages[0].content * 1000000 }}`,
		"power":          `{{ 9 ** 99999 }}`,
		"replace":        `{{ messages[0].content.replace('', messages[0].content) }}`,
		"replace filter": `{{ messages[0].content | replace('w', messages[0].content * 1) }}`,
		"indent":         `{{ messages[0].content.replace('w','\n') | indent(100000000) }}`,
		"join":           `{% set ns = namespace(x=messages[0].content) %}{% for i in range(9) %}{% set ns.x = ns.x | list | join(ns.x) %}{% endfor %}`,
		"center":         `{{ 'x'.center(1000000000) }}`,
		"format":         `{{ '{:1000000000}'.format(1) }}`,
		"format filter":  `{{ '%1000000000d' | format(1) }}`,
		"lipsum":         `{{ lipsum(n=100000000) }}`,
		"include":        `{% include '/etc/passwd' %}`,
		"import":         `{% import '/etc/passwd' as x %}`,
		"from":           `{% from '/etc/passwd' import x %}`,
		"extends":        `{% extends '/etc/passwd' %}`,
		"parentheses":    `{{ ` + strings.Repeat("(", 100000) + `1` + strings.Repeat(")", 100000) + ` }}`,
		"nots":           `{{ ` + strings.Repeat("not ", 20000) + `1 }}`,
		"ifs":            strings.Repeat(`{% if true %}`, 5000) + strings.Repeat(`{% endif %}`, 5000),
		"tildes":         `{{ x` + strings.Repeat("~x", 10000) + ` }}`,
		"unclosed":       `{{ "x`,
		"unclosed block": `{% for x in y %}`,
		"unclosed tag":   `{% if `,
		"comment":        `{# `,
		"division":       `{{ 1 % 0 }}`,
		"long":           strings.Repeat("x", maxTemplate+1),
		"empty":          "",
		"words":          `{{ raise_exception("no` + strings.Repeat("o", 9999) + "\n" + `") }}`,
		"self":           `{{ self.x() }}`,
		"do":             `{% do 1 %}`,
	} {
		var err error
		p, err := NewTemplate(source, "<s>", "</s>")
		if err == nil {
			start := time.Unix(0, 0)
			p.now = func() time.Time { return start }
			_, err = p.RenderParts(m, nil, true, nil)
		}
		if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 450 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The time a rendering may take is looked at as it goes.
func TestTemplateTime(t *testing.T) {
	p := templateOf(t, `{% for i in range(100) %}x{% endfor %}`)
	now := time.Unix(0, 0)
	p.now = func() time.Time { now = now.Add(time.Second); return now }
	if _, err := p.Render([]answer.Message{{Role: "user"}}, nil, true, nil); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Error(err)
	}
}

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
	m := []answer.Message{{Role: "system", Content: "s"}, {Role: "user", Content: "<|x|>"}}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := NewTemplate(source, "<s>", "</s>")
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
