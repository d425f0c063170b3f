package tools

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"skerry/appliance/infer"
	_ "skerry/build/testseed" // of rapid
)

var testTools = []infer.Tool{{Name: "add"}, {Name: "now"}, {Name: "sagen ü"}}

// gather joins deltas into calls, as a client does.
func gather(deltas []infer.CallDelta) (calls []infer.ToolCall) {
	for _, d := range deltas {
		if d.Index == len(calls) {
			calls = append(calls, infer.ToolCall{ID: d.ID, Name: d.Name})
		}
		calls[d.Index].Arguments = append(calls[d.Index].Arguments, d.Arguments...)
	}
	return calls
}

// parse pushes text cut into pieces.
func parse(pieces ...string) (out string, deltas []infer.CallDelta) {
	p := newParser(testTools, "a1")
	for _, s := range pieces {
		o, d := p.Push(s)
		out, deltas = out+o, append(deltas, d...)
	}
	o, d := p.End()
	return out + o, append(deltas, d...)
}

var parserCases = []struct{ text, out, calls string }{
	{"Hello {\"name\": 1}\n", "Hello {\"name\": 1}\n", ""},
	{`{"name": "add", "arguments": {"a": 1, "b": "}\""}}`, "", `add({"a": 1, "b": "}\""})`},
	{`{"name": "add", "parameters": {}} ; {"name":"now","parameters":{"z":[{}]}}`, "", `add({}) now({"z":[{}]})`},
	{"\n {\"arguments\":{\"a\":1},\"name\":\"add\"}\n", "", `add({"a":1})`},
	{`{"type":"function","function":"add","id":"x","parameters":{"é":"ü"}}`, "", `add({"é":"ü"})`},
	{`{"name":"sagen \u00fc","arguments":"{\"a\":1}"}`, "", `sagen ü({"a":1})`},
	{`{"name": "other", "arguments": {}}`, `{"name": "other", "arguments": {}}`, ""},
	{`{"name": "add"}`, `{"name": "add"}`, ""},
	{`{"city": "Rome"}`, `{"city": "Rome"}`, ""},
	{`[{"name":"add","arguments":{"a":1}}, {"name":"now","arguments":{}}]`, "", `add({"a":1}) now({})`},
	{"[1, 2]", "[1, 2]", ""},
	{"[link](x) and <b>", "[link](x) and <b>", ""},
	{"I look.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool_call>\n<tool_call>{\"name\":\"now\"}</tool_call>", "I look.", `add({"a": 2}) now({})`},
	{"<tool_call>{\"name\":\"now\"}</tool_call> Done.\n", " Done.\n", `now({})`},
	{"<tool_call>nothing</tool_call>", "<tool_call>nothing</tool_call>", ""},
	{"<tool_call>{\"name\":\"now\"}</tool", "", `now({})`},
	{"<tool_<tool_call>{\"name\":\"now\"}</tool_call>", "<tool_", `now({})`},
	{`[TOOL_CALLS] [{"name": "add", "arguments": {"a": 3}, "id": "abc"}]`, "", `add({"a": 3})`},
	{`[TOOL_CALLS][{"name": "add", "arguments": {}},{"name": "now"}] ok`, " ok", `add({}) now({})`},
	{`<|python_tag|>{"name": "now", "parameters": {}}`, "", `now({})`},
	{`<|python_tag|>print(1)`, `<|python_tag|>print(1)`, ""},
	{"Text\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\nmore", "Text\nmore", `add({"a": 1})`},
	{`{"name": "add", "arguments": {"a": [1, "x`, "", `add({"a": [1, "x)`},
	{`{"name": "add", "argu`, `{"name": "add", "argu`, ""},
	{"{\n{\"name\": \"add\", \"arguments\": {}}", "{", `add({})`},
	{`{"name":"add","arguments":{}}{"name":"now","arguments":{}}`, "", `add({}) now({})`},
	{`{"name":"add","arguments":{}}, then`, ", then", `add({})`},
	{"```json\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n```", "", `add({"a": 1})`},
	{"Look:\n\n```\n{\"name\":\"now\",\"arguments\":{}}\n```\nDone.\n", "Look:\nDone.\n", `now({})`},
	{"```json\n[{\"name\":\"add\",\"arguments\":{}},{\"name\":\"now\",\"arguments\":{}}]\n```\n", "", `add({}) now({})`},
	{"```tool_call\n{\"name\":\"add\",\"arguments\":{}}\n{\"name\":\"now\",\"arguments\":{}}\n```", "", `add({}) now({})`},
	{"```xml\n<tool_call>{\"name\":\"now\"}</tool_call>\n```\n", "", `now({})`},
	{"~~~ json\n  {\"name\":\"now\",\"arguments\":{}}\n~~~  \nyes", "\nyes", `now({})`},
	{"````\n{\"name\":\"now\",\"arguments\":{}}\n````\n```\ncode\n```", "\n```\ncode\n```", `now({})`},
	{"```json\n{\"name\":\"now\",\"arguments\":{}}", "", `now({})`},
	{"```json\n{\"name\":\"now\",\"arguments\":{}}\n``", "", `now({})`},
	{"```json\n{\"name\":\"now\",\"arguments\":{\"a\":", "", `now({"a":)`},
	{"See\n```json\n{\"name\":\"now\",\"arguments\":{}}\nand more\n```\n", "See\n```json\n\nand more\n```\n", `now({})`},
	{"```json\n{\"name\":\"now\",\"arguments\":{}}\n``x", "```json\n\n``x", `now({})`},
	{"```json\n{\"city\": \"Rome\"}\n```\n", "```json\n{\"city\": \"Rome\"}\n```\n", ""},
	{"```\nplain code\n```\n", "```\nplain code\n```\n", ""},
	{"```json\n<b>\n```\n", "```json\n<b>\n```\n", ""},
	{"```json", "```json", ""},
	{"``` a ``` b `c`\n~5", "``` a ``` b `c`\n~5", ""},
	{" \n ", " \n ", ""},
	{"", "", ""},
}

func describe(deltas []infer.CallDelta) string {
	text := ""
	for i, c := range gather(deltas) {
		if i > 0 {
			text += " "
		}
		text += c.Name + "(" + string(c.Arguments) + ")"
	}
	return text
}

func TestParser(t *testing.T) {
	for _, c := range parserCases {
		out, deltas := parse(c.text)
		if out != c.out || describe(deltas) != c.calls {
			t.Errorf("%q:\ntext %q\nwant %q\ncalls %s\n want %s", c.text, out, c.out, describe(deltas), c.calls)
		}
	}
}

// A call is told as soon as it is known, and its arguments as they grow.
func TestParserStreams(t *testing.T) {
	p := newParser(testTools, "a1")
	for _, s := range []struct {
		push string
		want []infer.CallDelta
	}{
		{`{"name": "add", "arguments": `, nil},
		{`{"a`, []infer.CallDelta{{Index: 0, ID: "call_", Name: "add", Arguments: `{"a`}}},
		{`": 1`, []infer.CallDelta{{Index: 0, Arguments: `": 1`}}},
		{"}}\n", []infer.CallDelta{{Index: 0, Arguments: "}"}}},
		{`{"name": "now", "arguments": {}}`, []infer.CallDelta{{Index: 1, ID: "call_", Name: "now", Arguments: "{}"}}},
	} {
		out, calls := p.Push(s.push)
		for i := range calls {
			if id := calls[i].ID; id != "" {
				if len(id) != len("call_")+24 {
					t.Errorf("id %q", id)
				}
				calls[i].ID = id[:5]
			}
		}
		if out != "" || !slices.Equal(calls, s.want) {
			t.Errorf("%q: %q %v, want %v", s.push, out, calls, s.want)
		}
	}
	if !p.Called() {
		t.Error("no call")
	}
}

// Ids are a matter of answer and index.
func TestCallIDs(t *testing.T) {
	text := `[{"name":"add","arguments":{}},{"name":"add","arguments":{}}]`
	_, a := parse(text)
	_, b := parse(text)
	p := newParser(testTools, "another")
	_, c := p.Push(text)
	if !slices.Equal(a, b) || a[0].ID == a[1].ID || a[0].ID == c[0].ID {
		t.Errorf("%v\n%v\n%v", a, b, c)
	}
}

func TestParserOfOneCall(t *testing.T) {
	p := NewParser(JSON, infer.Request{Tools: testTools}, "a", true)
	out, calls := p.Push(`<tool_call>{"name":"add","arguments":{}}`)
	if !p.Done() {
		t.Error("the one call is whole and there may be more")
	}
	more, again := p.Push("</tool_call>\n" + `<tool_call>{"name":"now","arguments":{}}</tool_call>text`)
	if rest, last := p.End(); out+more+rest != "" || len(calls) != 1 || len(again)+len(last) != 0 {
		t.Errorf("%q %q %q %v %v %v", out, more, rest, calls, again, last)
	}
	if !p.Called() {
		t.Error("the call is whole, and is none")
	}
	if NewParser(JSON, infer.Request{Tools: testTools, ToolChoice: "function:add", ParallelTools: true}, "a", true).parallel {
		t.Error("of a tool asked for by name several calls may come")
	}
	short := NewParser(JSON, infer.Request{Tools: testTools}, "a", true)
	short.Push(`{"name":"add","arguments":{"a"`)
	if short.End(); short.Called() {
		t.Error("a call cut off is one to make")
	}
	bound := NewParser(JSON, infer.Request{Tools: testTools, ToolChoice: "required", ParallelTools: true}, "a", true)
	out, calls = bound.Push(`{"name":"now","arguments":{}}` + "\n{ \"na")
	if rest, last := bound.End(); out+rest != "" || len(calls) != 1 || len(last) != 0 {
		t.Errorf("of a second call that was cut off there is %q %v %v", out+rest, calls, last)
	}
	none := NewParser(JSON, infer.Request{Tools: testTools, ToolChoice: "none"}, "a", true)
	if out, calls := none.Push(`{"name":"add","arguments":{}}`); out == "" || calls != nil {
		t.Errorf("with tool_choice none: %q %v", out, calls)
	}
}

// What comes out does not depend on how the text was cut.
func TestParserAnyChunks(t *testing.T) {
	var all []string
	for _, c := range parserCases {
		all = append(all, c.text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(all).Draw(t, "text")
		if rapid.Bool().Draw(t, "mixed") {
			text += rapid.SampledFrom([]string{"", "\n", ";", "<", "x"}).Draw(t, "glue") + rapid.SampledFrom(all).Draw(t, "more")
		}
		out, deltas := parse(text)
		pieces := cut(t, text)
		got, calls := parse(pieces...)
		if got != out || describe(calls) != describe(deltas) {
			t.Fatalf("%q:\n%q %s\n%q %s", pieces, got, describe(calls), out, describe(deltas))
		}
	})
}

// cut splits a text at random.
func cut(t *rapid.T, text string) (pieces []string) {
	for text != "" {
		n := rapid.IntRange(1, min(len(text), 12)).Draw(t, "n")
		pieces, text = append(pieces, text[:n]), text[n:]
	}
	return pieces
}

// Without a tool's name in it nothing of a text is lost or changed.
func FuzzParser(f *testing.F) {
	for _, c := range parserCases {
		f.Add(c.text, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		out, deltas := parse(text)
		var pieces []string
		for rest := text; rest != ""; {
			k := min(len(rest), int(n)+1)
			pieces, rest = append(pieces, rest[:k]), rest[k:]
		}
		got, calls := parse(pieces...)
		if got != out || describe(calls) != describe(deltas) {
			t.Fatalf("cut by %d: %q and %q", n, got, out)
		}
		if len(deltas) == 0 && out != text {
			t.Fatalf("%q became %q", text, out)
		}
	})
}

// What is held back is looked at anew when it comes to nothing, so that there is an end
// to it: of lines that may open or end a fence, and of arguments that come before a name.
func TestWhatIsHeldHasABound(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("`", 20_000),
		strings.Repeat("~", 20_000),
		"```\n{\"name\":\"f\",\"arguments\":{}}\n" + strings.Repeat("`", 20_000),
		strings.Repeat("{\"arguments\":{\n", 2_000),
		`{"arguments":{"a":"` + strings.Repeat("x", 20_000),
	} {
		p := newParser([]infer.Tool{{Name: "f"}}, "x")
		shown, _ := p.Push(text)
		if held := len(p.held); held > maxBefore {
			t.Errorf("%.40q: %d bytes of %d are held", text, held, len(text))
		}
		rest, calls := p.End()
		if len(calls) == 0 && p.n == 0 && shown+rest != text {
			t.Errorf("%.40q: %d bytes are shown of %d", text, len(shown+rest), len(text))
		}
	}
	p := newParser([]infer.Tool{{Name: "f"}}, "x")
	long := `{"a":"` + strings.Repeat("x", maxBefore-100) + `"}`
	if text, calls := p.Push(`{"arguments":` + long + `,"name":"f"}`); text != "" || len(calls) != 1 || calls[0].Arguments != long {
		t.Errorf("%.40q, %d calls", text, len(calls))
	}
}
