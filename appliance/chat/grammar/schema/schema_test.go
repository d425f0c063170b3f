package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"skerry/appliance/infer"
	"skerry/build/testseed"
)

// compile makes the grammar of a schema, and says what it does not carry.
func compile(schema string, bestEffort bool) (text string, left []string, err error) {
	r := NewRules()
	root, err := r.Follow(json.RawMessage(schema), "response_format", bestEffort, "value")
	if err != nil {
		return "", nil, err
	}
	text, err = r.Grammar([]string{root})
	return text, r.Left(), err
}

func grammarOf(t testing.TB, schema string) (*bnf, string) {
	t.Helper()
	text, _, err := compile(schema, false)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return parseGBNF(t, text), text
}

func validator(t testing.TB, schema string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:schema", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:schema")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s
}

func valid(s *jsonschema.Schema, text string) error {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

var schemas = []struct {
	schema  string
	yes, no []string // accepted, refused by the grammar
}{
	{`{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name"],"additionalProperties":false}`,
		[]string{`{"name":"x"}`, `{"name": "x", "age": 3}`, "{\n  \"name\": \"é\\n\"\n}"}, []string{`{}`, `{"age":3}`, `{"name":"x",}`, `{"name":"x","b":1}`, `{"name":3}`, `{"name":"\ud800"}`}},
	{`{"properties":{"a":{"type":"null"},"b":{"type":"boolean"},"c":{"type":"number"}}}`,
		[]string{`{}`, `{"a":null}`, `{"c":-1.5e3}`, `{"a":null,"c":0}`, `{"b":true,"c":1}`}, []string{`{,"b":true}`, `{"b":true"c":1}`, `{"b":1}`, `{"c":01}`}},
	{`{"type":"integer","minimum":-12,"maximum":345}`, []string{"-12", "0", "345", "99", "-1"}, []string{"-13", "346", "-0", "007", "1.0"}},
	{`{"type":"integer","exclusiveMinimum":9,"exclusiveMaximum":1001}`, []string{"10", "1000", "999"}, []string{"9", "1001"}},
	{`{"type":"number","minimum":0,"maximum":1}`, []string{"0", "1", "0.25", "1.0"}, []string{"1.5", "-0.1", "2"}},
	{`{"type":"number","exclusiveMinimum":0,"maximum":2.5}`, []string{"0.001", "1.5", "2"}, []string{"0", "0.0", "2.6"}},
	{`{"type":"number","minimum":-3,"exclusiveMaximum":-1}`, []string{"-3", "-2.5", "-1.01"}, []string{"-1", "0", "-3.1", "-1.0"}},
	{`{"enum":["red","green",3,null,{"a":[1]}]}`, []string{`"red"`, `3`, `null`, `{"a":[1]}`}, []string{`"blue"`, `4`}},
	{`{"const":"a\"b"}`, []string{`"a\"b"`}, []string{`"ab"`}},
	{`{"type":["string","null"],"maxLength":3}`, []string{`null`, `"abc"`, `""`}, []string{`"abcd"`, `3`}},
	{`{"type":"string","minLength":2}`, []string{`"ab"`, `"abcdefgh"`, `"€\u20ac"`}, []string{`"a"`}},
	{`{"type":"string","pattern":"^[A-Z]{2,3}-\\d+$"}`, []string{`"AB-1"`, `"ABC-123"`}, []string{`"A-1"`, `"AB-"`, `"AB-1x"`}},
	{`{"type":"string","pattern":"^(foo|ba[rz])?(,\"q\")*$"}`, []string{`"foo"`, `"baz,\"q\",\"q\""`, `""`}, []string{`"fooo"`}},
	{`{"type":"string","pattern":"^((a*)*|b?){2,}(c|)+$"}`, []string{`""`, `"aab"`, `"bbccc"`}, []string{`"ca"`, `"x"`}},
	{`{"type":"string","pattern":"^(a?)?(|b)*(c*)?$"}`, []string{`""`, `"abbc"`, `"cc"`}, []string{`"aa"`}},
	{`{"type":"string","pattern":"b+c"}`, []string{`"abbcd"`, `"bc"`}, []string{`"cb"`}},
	{`{"type":"string","pattern":"^a$|^(?i:xy)"}`, []string{`"a"`, `"Xyz"`, `"xY"`}, []string{`"ab"`}},
	{`{"type":"string","format":"date"}`, []string{`"2026-11-26"`, `"2024-01-31"`}, []string{`"2026-13-01"`, `"2026-02-30"`, `"x"`}},
	{`{"type":"string","format":"date-time"}`, []string{`"2026-11-26T05:30:00Z"`, `"2026-11-26T23:59:59.5+01:00"`}, []string{`"2026-11-26"`, `"2026-11-26T24:00:00Z"`}},
	{`{"type":"string","format":"time"}`, []string{`"05:30:00Z"`}, []string{`"5:30"`}},
	{`{"type":"string","format":"uuid"}`, []string{`"01234567-89ab-cdef-0123-456789abcdef"`}, []string{`"01234567"`}},
	{`{"type":"string","format":"ipv4"}`, []string{`"10.0.0.255"`}, []string{`"10.0.0.256"`}},
	{`{"type":"string","format":"email"}`, []string{`"a.b@example.org"`}, []string{`"a"`}},
	{`{"type":"string","format":"uri"}`, []string{`"https://example.org/a/b"`}, []string{`"a"`}},
	{`{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":4}`, []string{`[1,2]`, `[ 1, 2, 3, 4 ]`}, []string{`[1]`, `[1,2,3,4,5]`, `[]`, `[1,2,]`}},
	{`{"type":"array","maxItems":0}`, []string{`[]`}, []string{`[1]`}},
	{`{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"boolean"},"minItems":1}`, []string{`["a"]`, `["a",1]`, `["a",1,true,false]`}, []string{`[]`, `[1]`, `["a",true]`}},
	{`{"type":"array","prefixItems":[{"type":"string"}],"items":false}`, []string{`["a"]`, `[]`}, []string{`["a",1]`}},
	{`{"type":"array","items":[{"type":"string"},{"type":"null"}],"additionalItems":false,"minItems":2,"$schema":"http://json-schema.org/draft-07/schema#"}`, []string{`["a",null]`}, []string{`["a"]`, `["a",null,1]`}},
	{`{"type":"object","additionalProperties":{"type":"integer"}}`, []string{`{}`, `{"x":1,"y":2}`}, []string{`{"x":"1"}`}},
	{`{"type":"object","properties":{"ab":{"type":"integer"},"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}`, []string{`{"ab":1,"b":"x"}`, `{"abc":"x"}`, `{"":"x"}`, `{"a":1}`}, []string{`{"ab":"x"}`, `{"a":"x"}`, `{"\u0061":"x"}`, `{"ab":1,"a":"x"}`}},
	{`{"type":"object","properties":{}}`, []string{`{}`, `{ }`}, []string{`{"x":1}`}},
	{`{"allOf":[{"properties":{}},{"properties":{"a":{"type":"null"}}}]}`, []string{`{}`, `{"a":null}`}, []string{`{"x":1}`}},
	{`{"type":"object","properties":{},"additionalProperties":{"type":"null"}}`, []string{`{}`, `{"x":null}`}, []string{`{"x":1}`}},
	{`{"type":"string","format":"duration"}`, []string{`"P1D"`, `"PT5M30S"`, `"P1Y2M3DT4H"`, `"P2W"`}, []string{`"P"`, `"PT"`, `"1D"`, `"PT1H1S"`}},
	{`{"type":"string","format":"hostname"}`, []string{`"example.org"`, `"a-b.c"`}, []string{`"-a"`, `"a-"`, `"a..b"`}},
	{`{"type":"string","format":"ipv6"}`, []string{`"2001:db8::1"`, `"::1"`, `"1:2:3:4:5:6:7:8"`}, []string{`"1:2"`, `"1::2::3"`, `"12345::1"`}},
	{`{"type":"string","format":"colour"}`, []string{`"red"`}, []string{`1`}},
	{`{"type":"object","required":["x"]}`, []string{`{"x":[1]}`}, []string{`{}`}},
	{`{"anyOf":[{"type":"string"},{"type":"array","items":{"$ref":"#"}}]}`, []string{`"a"`, `["a",["b",[]]]`}, []string{`1`, `[1]`}},
	{`{"type":"object","properties":{"kind":{"type":"string"}},"required":["kind"],"oneOf":[{"properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind"]},{"properties":{"kind":{"const":"b"}},"required":["kind"]}]}`, []string{`{"kind":"a","x":1}`, `{"kind":"b"}`}, []string{`{"kind":"c"}`, `{"kind":"b","x":1}`}},
	{`{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"string"},"a":{"minimum":3,"type":"number"}}}]}`, []string{`{"a":3}`, `{"a":4,"b":"x"}`}, []string{`{"a":2}`, `{"a":3.5}`}},
	{`{"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},"$ref":"#/$defs/node"}`, []string{`{"v":1,"next":null}`, `{"v":1,"next":{"v":2,"next":null}}`}, []string{`{"v":1}`}},
	{`{"type":"object","properties":{"a/b~c":{"$ref":"#/$defs/x%20y"},"d":{"$ref":"#/properties/a~1b~0c"}},"$defs":{"x y":{"type":"null"}}}`, []string{`{"a/b~c":null,"d":null}`}, []string{`{"d":1}`}},
	{`true`, []string{`1`, `{"a":[{}]}`, `"x"`}, []string{`x`}},
	{`{"title":"T","description":"any"}`, []string{`[null]`}, []string{``}},
	{`{"type":"object","properties":{"a":{"enum":[1,2,"x"],"type":"integer"},"b":false}}`, []string{`{"a":1}`}, []string{`{"a":"x"}`, `{"b":1}`}},
	{`{"type":"string","minLength":1.0,"maxLength":2e0}`, []string{`"a"`, `"ab"`}, []string{`""`, `"abc"`}},
	{`{"type":"array","items":{"type":"integer","minimum":1.0,"maximum":0.9e1},"minItems":1.0,"maxItems":20e-1}`, []string{`[1]`, `[9,9]`}, []string{`[]`, `[0]`, `[1,1,1]`}},
	{`{"type":"integer","enum":[5.0,1e3,7]}`, []string{`5`, `1000`, `7`}, []string{`5.0`, `1e3`}},
	{`{"type":"object","minProperties":0.0,"properties":{"a":{"const":2.0,"type":"integer"}}}`, []string{`{}`, `{"a":2}`}, []string{`{"a":2.0}`}},
	{`{"enum":["abc","a","abcd"],"maxLength":3,"pattern":"b"}`, []string{`"abc"`}, []string{`"a"`, `"abcd"`}},
}

// What the grammar says satisfies the schema, and what is listed is accepted or not.
func TestGrammarFollowsTheSchema(t *testing.T) {
	r := testseed.Rand(t)
	for _, c := range schemas {
		g, text := grammarOf(t, c.schema)
		v := validator(t, c.schema)
		for _, s := range c.yes {
			if err := valid(v, s); err != nil {
				t.Errorf("the test is wrong: %s: %v", s, err)
			}
			if !g.matches(s) {
				t.Errorf("%s: %s is not accepted by\n%s", c.schema, s, text)
			}
		}
		for _, s := range c.no {
			if g.matches(s) {
				t.Errorf("%s: %s is accepted by\n%s", c.schema, s, text)
			}
		}
		for range 200 {
			s := g.draw(r)
			if err := valid(v, s); err != nil {
				t.Fatalf("%s: drew %s: %v\n%s", c.schema, s, err, text)
			}
			if !g.matches(s) {
				t.Fatalf("%s: drew %s and refuses it", c.schema, s)
			}
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	for _, c := range []struct{ schema, param string }{
		{`{`, "response_format"},
		{`{} {}`, "response_format"},
		{`3`, "response_format"},
		{`false`, "response_format"},
		{`{"type":"strong"}`, "response_format/type"},
		{`{"type":"object","properties":{"a":{"not":{}}}}`, "response_format/properties/a/not"},
		{`{"type":"object","minProperties":1}`, "response_format/minProperties"},
		{`{"type":"object","patternProperties":{"a":{}}}`, "response_format/patternProperties"},
		{`{"type":"array","items":{"type":"integer","multipleOf":3}}`, "response_format/items/multipleOf"},
		{`{"type":"array","uniqueItems":true}`, "response_format/uniqueItems"},
		{`{"type":"string","pattern":"(?=a)"}`, "response_format/pattern"},
		{`{"type":"string","pattern":"a\\b"}`, "response_format/pattern"},
		{`{"type":"string","pattern":"^(a$|b)c"}`, "response_format/pattern"},
		{`{"type":"string","pattern":"^[\\x01\\x02]$"}`, "response_format/pattern"},
		{`{"type":"string","pattern":"^a","maxLength":3}`, "response_format"},
		{`{"type":"string","minLength":5,"maxLength":3}`, "response_format"},
		{`{"type":"string","minLength":100000}`, "response_format/minLength"},
		{`{"type":"string","minLength":"3"}`, "response_format/minLength"},
		{`{"type":"integer","minimum":5,"maximum":4}`, "response_format"},
		{`{"type":"number","minimum":0.1,"maximum":0.9}`, "response_format"},
		{`{"$ref":"#"}`, "response_format/$ref"},
		{`{"$ref":"other.json"}`, "response_format/$ref"},
		{`{"$ref":"#/$defs/none"}`, "response_format/$ref"},
		{`{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"type":"null"}]},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"$ref":"#/$defs/a"}`, "response_format/$defs/b/allOf/0/$ref"},
		{`{"oneOf":[{"type":"number"},{"type":"integer"}]}`, "response_format/oneOf/1"},
		{`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, "response_format/oneOf/1"},
		{`{"anyOf":[]}`, "response_format/anyOf"},
		{`{"allOf":[{"type":"string"},{"type":"null"}]}`, "response_format"},
		{`{"allOf":[{"pattern":"a"},{"pattern":"b"}]}`, "response_format/allOf/1"},
		{`{"type":"object","required":["a"],"additionalProperties":false}`, "response_format"},
		{`{"type":"object","properties":{"a":{"$id":"x"}}}`, "response_format/properties/a/$id"},
		{`{"properties":[]}`, "response_format/properties"},
		{`{"required":"a"}`, "response_format/required"},
		{`{"enum":3}`, "response_format/enum"},
		{strings.Repeat(`{"not":`, 100) + `{}` + strings.Repeat("}", 100), "response_format"},
	} {
		_, _, err := compile(c.schema, false)
		var e *infer.Error
		if !errors.As(err, &e) || e.Code != infer.BadRequest || e.Param != c.param || strings.Contains(e.Message, "\n") {
			t.Errorf("%s: %#v", c.schema, err)
		}
	}
}

// Schemas made to explode end in an error, and soon: the limits are counted, not timed.
func TestHostileSchemas(t *testing.T) {
	wide := `{"anyOf":[` + strings.Repeat(`{"type":"null"},`, 9) + `{"type":"null"}]}`
	defs := `"d0":{"type":"string"}`
	for i := 1; i < 40; i++ {
		defs += fmt.Sprintf(`,"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, i-1, i-1)
	}
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":{"type":"array","items":{"enum":["v%d"]}}`, i, i)
	}
	for name, s := range map[string]string{
		"product":  `{"allOf":[` + wide + "," + wide + "," + wide + `]}`,
		"doubling": `{"$ref":"#/$defs/d39","$defs":{` + defs + `}}`,
		"many":     `{"type":"object","properties":{` + strings.Join(many, ",") + `}}`,
		"repeats":  `{"type":"string","pattern":"^` + strings.Repeat("(a|b){1000}", 60) + `$"}`,
		"long":     `{"const":"` + strings.Repeat("x", maxSchema) + `"}`,
	} {
		if _, _, err := compile(s, false); err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func FuzzSchema(f *testing.F) {
	for _, c := range schemas {
		f.Add(c.schema)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, _, err := compile(s, false)
		if err == nil {
			parseGBNF(t, text)
		} else if e := (*infer.Error)(nil); !errors.As(err, &e) || e.Code != infer.BadRequest {
			t.Fatal(err)
		}
	})
}
