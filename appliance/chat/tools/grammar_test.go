package tools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/chat/grammar"
	"skerry/appliance/infer"
)

// bound is a grammar to hold whole answers against.
type bound struct {
	t *testing.T
	*grammar.Grammar
}

func grammarOf(t *testing.T, text string) bound {
	t.Helper()
	g, err := grammar.Compile(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return bound{t, g}
}

// matches reports whether text is a whole answer.
func (b bound) matches(text string) bool {
	b.t.Helper()
	m, err := grammar.NewMatcher(b.Grammar, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	ok, err := m.Accept([]byte(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return ok && m.Whole()
}

// The tools of a request are compiled within one limit of work.
func TestWorkOfManyTools(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf(`"k%d":{}`, i))
	}
	properties, refs := strings.Join(names, ","), strings.Repeat(`,{"$ref":"#/$defs/a"}`, 100)[1:]
	tools := make([]infer.Tool, 128)
	for i := range tools {
		tools[i] = infer.Tool{Name: fmt.Sprintf("t%d", i), Parameters: json.RawMessage(`{"$defs":{"a":{"properties":{` + properties + `}}},"allOf":[` + refs + `]}`)}
	}
	if _, left, err := Grammar(Want{Tools: tools, ToolChoice: "required"}); err != nil || len(left) == 0 {
		t.Errorf("the tools of a request together: %v, %v", left, err)
	}
}

// What a grammar does not carry is told, and is refused where somebody asked for it
// strictly.
func TestLeftUnenforced(t *testing.T) {
	for _, c := range []struct {
		schema string
		left   []string // behind the tool
		yes    []string // arguments
		no     []string
	}{
		{`{"type":"object","properties":{"host":{"type":"string","format":"idn-hostname"}}}`, []string{"/properties/host/format"}, []string{`{"host":"x"}`}, []string{`{"host":1}`}},
		{`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer","multipleOf":5},"uniqueItems":true}}}`,
			[]string{"/properties/a/uniqueItems", "/properties/a/items/multipleOf"}, []string{`{"a":[5,5]}`}, []string{`{"a":["x"]}`}},
		{`{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"propertyNames":{"pattern":"^a"}}`, []string{"/propertyNames", "/minProperties"}, []string{`{"b":1}`}, []string{`{"b":"1"}`}},
		{`{"type":"object","properties":{"a":{"type":"integer"}},"if":{},"then":{},"not":{"required":["a"]}}`, []string{"/not", "/if", "/then"}, []string{`{"a":1}`}, []string{`{"b":1}`}},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"(?=x)y","maxLength":3}}}`, []string{"/properties/a", "/properties/a/pattern"}, []string{`{"a":"abc"}`}, []string{`{"a":"abcd"}`}},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"^x+$","maxLength":3}}}`, []string{"/properties/a"}, []string{`{"a":"xxxx"}`}, []string{`{"a":"y"}`}},
		{`{"type":"object","properties":{"a":{"type":"string","minLength":100000}}}`, []string{"/properties/a/minLength"}, nil, []string{`{"a":""}`}},
		{`{"type":"object","properties":{"a":{"oneOf":[{"type":"number"},{"type":"integer"}]}}}`, []string{"/properties/a/oneOf/1"}, []string{`{"a":1}`}, []string{`{"a":"1"}`}},
		{`{"type":"object","properties":{"a":{"type":"number","minimum":0.1,"maximum":0.9}}}`, []string{"/properties/a"}, []string{`{"a":7}`}, []string{`{"a":"1"}`}},
		{`{"type":"object","properties":{"a":{"enum":["x"],"format":"uuid"}}}`, []string{"/properties/a/format"}, []string{`{"a":"x"}`}, []string{`{"a":"y"}`}},
		{`{"type":"object","properties":{"a":{"$ref":"other.json"}}}`, []string{""}, []string{`{"a":1}`, `{"z":[]}`}, []string{`[]`}},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"^` + strings.Repeat("(a|b){1000}", 60) + `$"}}}`, []string{""}, []string{`{"a":1}`}, []string{`[]`}},
	} {
		tools := []infer.Tool{{Name: "other"}, {Name: "f", Parameters: json.RawMessage(c.schema)}}
		w := Want{Tools: tools, ToolChoice: "function:f"}
		text, left, err := Grammar(w)
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		var want []string
		for _, l := range c.left {
			want = append(want, "tools/1"+l)
		}
		if !slices.Equal(left, want) {
			t.Errorf("%s: left %q, want %q", c.schema, left, want)
		}
		g := grammarOf(t, text)
		call := func(arguments string) bool { return g.matches(`{"name": "f", "arguments": ` + arguments + `}`) }
		for _, s := range c.yes {
			if !call(s) {
				t.Errorf("%s: refuses %s", c.schema, s)
			}
		}
		for _, s := range c.no {
			if call(s) {
				t.Errorf("%s: accepts %s", c.schema, s)
			}
		}
		schema := strings.Contains(c.schema, "idn-hostname")
		tools[1].Strict = true
		if _, _, err := Grammar(w); (err == nil) != schema {
			t.Errorf("%s: of a strict tool %v", c.schema, err)
		}
		f := Want{Format: "schema", Schema: json.RawMessage(c.schema)}
		if _, _, err := Grammar(f); (err == nil) != schema {
			t.Errorf("%s: as a format %v", c.schema, err)
		}
		f.BestEffort = true
		if _, left, err := Grammar(f); err != nil || len(left) != len(c.left) || left[0] != "response_format"+c.left[0] {
			t.Errorf("%s: as a format by best effort %q, %v", c.schema, left, err)
		}
	}
	// What cannot be carried of a strict tool is refused also where the model calls as it likes.
	strict := Want{Tools: []infer.Tool{{Name: "a"}, {Name: "b", Strict: true, Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"multipleOf":5}}}`)}}}
	if text, _, err := Grammar(strict); err == nil {
		t.Errorf("no error, and %s", text)
	}
	// What is wrong stays an error.
	for _, s := range []string{`{"type":"strong"}`, `{"properties":[]}`, `{"$ref":"#/$defs/none"}`, `3`, `false`} {
		if _, _, err := Grammar(Want{Tools: []infer.Tool{{Name: "f", Parameters: json.RawMessage(s)}}, ToolChoice: "required"}); err == nil {
			t.Errorf("%s: no error", s)
		}
	}
}

// A tool without parameters takes none.
func TestToolsWithoutParameters(t *testing.T) {
	for _, parameters := range []string{``, `null`, `{"type":"object","properties":{}}`, `{"type":"object","properties":{},"required":[],"additionalProperties":false}`, `{"properties":{}}`} {
		text, left, err := Grammar(Want{Tools: []infer.Tool{{Name: "f", Parameters: json.RawMessage(parameters)}}, ToolChoice: "required"})
		if err != nil || left != nil {
			t.Fatalf("%s: %q, %v", parameters, left, err)
		}
		g := grammarOf(t, text)
		if !g.matches(`{"name": "f", "arguments": {}}`) || g.matches(`{"name": "f", "arguments": {"type": "object"}}`) {
			t.Errorf("%q: %s", parameters, text)
		}
	}
	text, _, err := Grammar(Want{Tools: []infer.Tool{{Name: "f", Parameters: json.RawMessage(`{"type":"object"}`)}}, ToolChoice: "required"})
	if err != nil || !grammarOf(t, text).matches(`{"name": "f", "arguments": {"a": 1}}`) {
		t.Errorf("of any object: %v", err)
	}
}
