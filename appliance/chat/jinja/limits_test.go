package jinja

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// rendered with a long message and a clock that stands.
func rendered(source string) (string, error) {
	t, err := Parse(source)
	if err != nil {
		return "", err
	}
	words := Foreign(strings.Repeat("words ", 1000))
	start := time.Unix(0, 0)
	text, err := t.Render(map[string]Value{"messages": &List{[]Value{NewDict("role", Own("user"), "content", words)}}}, func() time.Time { return start })
	return text.String(), err
}

// Templates made to hang, to eat memory or to read files end in one line of error.
// Which limit they meet is counted, so that this does not depend on the machine.
func TestHostileTemplates(t *testing.T) {
	for name, source := range map[string]string{
		"recursion":          `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"mutual":             `{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}`,
		"alias":              `{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}`,
		"tree":               `{% macro f(n) %}{% if n < 30 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}`,
		"caller":             `{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}`,
		"loop":               `{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}`,
		"loops of two":       `{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}`,
		"quiet loops":        `{% for x in [1, 2] recursive %}{% set y = loop([1, 2]) %}{% endfor %}`,
		"loop in a macro":    `{% macro f(l) %}{{ l([1]) }}{% endmacro %}{% for x in [1] recursive %}{{ f(loop) }}{% endfor %}`,
		"loop by map":        `{% for x in [1, 2] recursive %}{% set l = loop %}{% for y in [1, 2] %}{{ l([1, 2]) }}{% endfor %}{% endfor %}`,
		"loop in the else":   `{% for x in [1] recursive %}{% set l = loop %}{% for y in [] %}{% else %}{{ l([1]) }}{% endfor %}{% endfor %}`,
		"loop by its test":   `{% for x in [1] recursive %}{% set l = loop %}{% for y in [1] if l([1]) %}{% endfor %}{% endfor %}`,
		"wide loop":          `{% for x in range(1000) recursive %}{{ loop(range(1000)) if loop.depth < 9 }}{% endfor %}`,
		"range":              `{% for i in range(1000000000) %}x{% endfor %}`,
		"range list":         `{{ range(1000000000) | list }}`,
		"range in range":     `{% for i in range(5000) %}{% set x = range(5000) | list %}{% endfor %}`,
		"loops":              strings.Repeat(`{% for i in range(20000) %}`, 6) + "x" + strings.Repeat(`{% endfor %}`, 6),
		"quiet":              strings.Repeat(`{% for i in range(20000) %}`, 6) + strings.Repeat(`{% endfor %}`, 6),
		"doubling":           `{% set ns = namespace(x=messages[0].content) %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`,
		"doubling set":       `{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}`,
		"lists":              `{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}`,
		"lists compared":     `{% set a = namespace(x=[1]) %}{% set b = namespace(x=[1]) %}{% for i in range(60) %}{% set a.x = [a.x, a.x] %}{% set b.x = [b.x, b.x] %}{% endfor %}{{ a.x == b.x }}`,
		"keys":               `{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}`,
		"list product":       `{{ [1] * 1000000000 }}`,
		"growing list":       `{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
		"itself":             `{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}`,
		"itself json":        `{% set ns = namespace() %}{% set ns.x = ns %}{{ ns | tojson }}`,
		"product":            `{{ messages[0].content * 1000000 }}`,
		"power":              `{{ 9 ** 99999 }}`,
		"powers":             `{% set ns = namespace(x=9) %}{% for i in range(100) %}{% set ns.x = ns.x * ns.x %}{% endfor %}`,
		"replace":            `{{ messages[0].content.replace('', messages[0].content) }}`,
		"replace filter":     `{{ messages[0].content | replace('w', messages[0].content * 9) }}`,
		"indent":             `{{ messages[0].content.replace('w','\n') | indent(100000000) }}`,
		"join":               `{% set ns = namespace(x=messages[0].content) %}{% for i in range(9) %}{% set ns.x = ns.x | list | join(ns.x) %}{% endfor %}`,
		"split":              `{% for i in range(3000) %}{% set x = messages[0].content.split() %}{% endfor %}`,
		"center":             `{{ 'x'.center(1000000000) }}`,
		"zfill":              `{{ 'x'.zfill(1000000000) }}`,
		"tabs":               `{{ '\t'.expandtabs(1000000000) }}`,
		"format":             `{{ '{:1000000000}'.format(1) }}`,
		"format filter":      `{{ '%1000000000d' | format(1) }}`,
		"format star":        `{{ '%*d' % (1000000000, 1) }}`,
		"format precision":   `{{ '%.1000000000d' % 1 }}`,
		"batch":              `{{ [1] | batch(1000000000, 0) | list }}`,
		"slice":              `{{ [1] | slice(1000000000, 0) | list }}`,
		"lipsum":             `{{ lipsum(n=100000000) }}`,
		"include":            `{% include '/etc/passwd' %}`,
		"import":             `{% import '/etc/passwd' as x %}`,
		"from":               `{% from '/etc/passwd' import x %}`,
		"extends":            `{% extends '/etc/passwd' %}`,
		"parentheses":        `{{ ` + strings.Repeat("(", 100000) + `1` + strings.Repeat(")", 100000) + ` }}`,
		"brackets":           `{{ ` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + ` }}`,
		"nots":               `{{ ` + strings.Repeat("not ", 20000) + `1 }}`,
		"minuses":            `{{ ` + strings.Repeat("-", 20000) + `1 }}`,
		"elses":              `{{ ` + strings.Repeat("1 if 0 else ", 20000) + `1 }}`,
		"ifs":                strings.Repeat(`{% if true %}`, 5000) + strings.Repeat(`{% endif %}`, 5000),
		"targets":            `{% set ` + strings.Repeat("(", 50000) + `a` + strings.Repeat(")", 50000) + ` = 1 %}`,
		"unclosed":           `{{ "x`,
		"unclosed block":     `{% for x in y %}`,
		"unclosed tag":       `{% if `,
		"unclosed output":    `{{`,
		"comment":            `{# `,
		"raw":                `{% raw %}{{`,
		"division":           `{{ 1 % 0 }}`,
		"division of floats": `{{ 1.0 // 0.0 }}`,
		"long":               strings.Repeat("x", maxSource+1),
		"words":              `{{ raise_exception("no` + strings.Repeat("o", 9999) + "\\n" + `") }}`,
		"self":               `{{ self.x() }}`,
		"do":                 `{% do 1 %}`,
		"class":              `{{ ''.__class__.__mro__ }}`,
		"append":             `{{ [].append(1) }}`,
		"update":             `{{ {}.update({1: 2}) }}`,
	} {
		_, err := rendered(source)
		if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 450 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only looks like one of those is rendered.
func TestDeepButFinite(t *testing.T) {
	for source, want := range map[string]string{
		`{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}`:                  "123",
		`{% for x in [{'c': [{'c': [{'c': []}]}]}] recursive %}({{ loop.depth }}{{ loop(x.c) }}){% endfor %}`:      "(1(2(3)))",
		`{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) | length }}`:             "92",
		`{% set ns = namespace(n=0) %}{% for i in range(100000) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}`: "4999950000",
		`{{ x` + strings.Repeat("~x", 10000) + ` }}`:                                                               "",
		`{{ ('a'` + strings.Repeat(" + 'a'", 2000) + `) | length }}`:                                               "2001",
		`{{ 1` + strings.Repeat("|abs", 50000) + ` }}`:                                                             "1",
		strings.Repeat(`{% if true %}`, 60) + "x" + strings.Repeat(`{% endif %}`, 60):                              "x",
		`{{ messages[0].content | replace('w', 'ww') | length }}`:                                                  "7000",
		`{% for c in messages[0].content %}{% if loop.last %}{{ loop.index }}{% endif %}{% endfor %}`:              "6000",
		`{{ 0 ** 99999999 }}{{ (-1) ** 99999999 }}{{ 2 ** 100 }}{{ 2 ** -1 }}`:                                     "0-112676506002282294014967032053760.5",
	} {
		if got, err := rendered(source); err != nil || got != want {
			t.Errorf("%.80s: %.80q %v", source, got, err)
		}
	}
}

// The time a rendering may take is looked at as it goes, in loops and in their calls.
func TestTemplateTime(t *testing.T) {
	for _, source := range []string{
		`{% for i in range(1000) %}x{% endfor %}`,
		`{% for x in range(9) recursive %}{{ loop(range(9)) if loop.depth < 4 }}{% endfor %}`,
		`{{ 'x' * 30000000 }}`,
		`{{ range(1000) | list | sort }}`,
	} {
		p, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		_, err = p.Render(nil, func() time.Time { now = now.Add(3 * time.Second); return now })
		if err == nil || !strings.Contains(err.Error(), "longer") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// An error names the line at fault.
func TestErrorsNameTheLine(t *testing.T) {
	for source, line := range map[string]int{
		"a\n{{ x.y }}":  2,
		"a\n\n{% if %}": 3,
		"{# a\nb #}\n{% for x in 3 %}{% endfor %}":                3,
		"{{\n\n'a' | nosuch }}":                                   3,
		"{% macro f() %}\n{{ x.y }}\n{% endmacro %}\n\n{{ f() }}": 2,
		"{% macro f() %}\n{% endmacro %}\n{{ f() + 1 }}":          3,
		"{% for x in [1] %}\n{{ 1 % 0 }}{% endfor %}":             2,
		"\n{% if a %}\n\n\n":                                      4,
		"{{ 'a'\n + 1 }}":                                         2,
		"\r\n\r\n{{ 1 is nosuch }}":                               3,
		"{%- raw %}\n{{ x.y }}\n{%- endraw %}\n{{ x.y }}":         4,
	} {
		_, err := rendered(source)
		var e *Error
		if !errors.As(err, &e) || e.Line != line {
			t.Errorf("%q: %v, want line %d", source, err, line)
		}
	}
	_, err := rendered("\n{{ raise_exception('no  ' ~ 1) }}")
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Message != "no 1" || refusal.Line != 2 {
		t.Error(err)
	}
}

func FuzzRender(f *testing.F) {
	for _, source := range []string{
		`{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim }}{% endfor %}`,
		`{%- set ns = namespace(x=1) -%}{% set ns.x = ns.x + 1 %}{{ ns.x if ns.x > 1 else 'a' }}`,
		`{% macro f(a, b=2) %}{{ a ~ b }}{% endmacro %}{{ f(1) }}{# x #}{{ messages[-1].content[1:] }}`,
		`{% for x in [[1]] recursive %}{{ loop(x) }}{% break %}{% else %}{% endfor %}{{ '%-5.2f' % 1.5 }}`,
		`{% raw %}{{{% endraw %}{{ "\u00e9\x41" }}{{ '{0:>5}'.format('a') }}{{ [3, 1] | sort | join(',') }}`,
		`{{ messages | map(attribute='content') | list | tojson(indent=1) }}{{ range(9)[::-2] }}`,
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Parse(source)
		if err != nil {
			return
		}
		m := &List{[]Value{NewDict("role", Own("user"), "content", Foreign("a<b é"))}}
		text, err := p.Render(map[string]Value{"messages": m}, nil)
		if err != nil {
			var e *Error
			var refusal *Refusal
			if !errors.As(err, &e) && !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			return
		}
		joined, at := "", -1
		for i, part := range text.Parts() {
			joined += part.Text
			if part.Text == "" || i > 0 && part.Foreign == text.Parts()[i-1].Foreign {
				t.Fatalf("part %d: %+v", i, text.Parts())
			}
			at = i
		}
		if joined != text.String() {
			t.Fatalf("%d parts: %q is not %q", at+1, joined, text.String())
		}
	})
}
