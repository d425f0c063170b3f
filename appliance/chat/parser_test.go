package chat

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"skerry/appliance/answer"
)

var testTools = []answer.Tool{{Name: "add"}, {Name: "now"}, {Name: "sagen ü"}}

// gather joins deltas into calls, as a client does.
func gather(deltas []answer.CallDelta) (calls []answer.ToolCall) {
	for _, d := range deltas {
		if d.Index == len(calls) {
			calls = append(calls, answer.ToolCall{ID: d.ID, Name: d.Name})
		}
		calls[d.Index].Arguments = append(calls[d.Index].Arguments, d.Arguments...)
	}
	return calls
}

// parse pushes text cut into pieces.
func parse(pieces ...string) (out string, deltas []answer.CallDelta) {
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
	{" \n ", " \n ", ""},
	{"", "", ""},
}

func describe(deltas []answer.CallDelta) string {
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
		want []answer.CallDelta
	}{
		{`{"name": "add", "arguments": `, nil},
		{`{"a`, []answer.CallDelta{{Index: 0, ID: "call_", Name: "add", Arguments: `{"a`}}},
		{`": 1`, []answer.CallDelta{{Index: 0, Arguments: `": 1`}}},
		{"}}\n", []answer.CallDelta{{Index: 0, Arguments: "}"}}},
		{`{"name": "now", "arguments": {}}`, []answer.CallDelta{{Index: 1, ID: "call_", Name: "now", Arguments: "{}"}}},
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
	p := NewParser(nil, answer.Request{Tools: testTools}, "a")
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
	if NewParser(nil, answer.Request{Tools: testTools, ToolChoice: "function:add", ParallelTools: true}, "a").parallel {
		t.Error("of a tool asked for by name several calls may come")
	}
	short := NewParser(nil, answer.Request{Tools: testTools}, "a")
	short.Push(`{"name":"add","arguments":{"a"`)
	if short.End(); short.Called() {
		t.Error("a call cut off is one to make")
	}
	none := NewParser(nil, answer.Request{Tools: testTools, ToolChoice: "none"}, "a")
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

func TestStops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab\né")), 0, 40, -1).Draw(t, "text")
		stops := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab\né")), 0, 4, -1), 0, 3).Draw(t, "stops")
		want, end := text, len(text)+1
		for _, s := range stops {
			i := strings.Index(text, s)
			if s != "" && i >= 0 && (i+len(s) < end || i+len(s) == end && i < len(want)) {
				want, end = text[:i], i+len(s)
			}
		}
		s, out := NewStops(stops), ""
		for _, piece := range cut(t, text) {
			out += s.Push(piece)
		}
		out += s.End()
		if out != want || (s.Hit() != "") != (end <= len(text)) {
			t.Fatalf("%q by %q: %q (%q), want %q", text, stops, out, s.Hit(), want)
		}
	})
}

func TestStopsHoldOnlyWhatTheyMust(t *testing.T) {
	s := NewStops([]string{"END", "\n\n"})
	for _, c := range [][2]string{{"one E", "one "}, {"N", ""}, {"T\n", "ENT"}, {"x", "\nx"}, {"\n\ny", ""}, {"more", ""}} {
		if out := s.Push(c[0]); out != c[1] {
			t.Errorf("%q: %q, want %q", c[0], out, c[1])
		}
	}
	if s.Hit() != "\n\n" || s.End() != "" {
		t.Error(s.Hit())
	}
}
