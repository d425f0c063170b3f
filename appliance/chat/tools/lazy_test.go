package tools

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/chat/grammar"
	"skerry/appliance/infer"
	"skerry/build/testseed"
)

// lazyTools are two of which one is strict.
var lazyTools = []infer.Tool{
	{Name: "add", Strict: true, Parameters: json.RawMessage(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"],"additionalProperties":false}`)},
	{Name: "address", Parameters: json.RawMessage(`{"type":"object","properties":{"of":{"type":"string"}},"required":["of"]}`)},
}

func lazyGrammar(t testing.TB, style Style, parallel bool) string {
	t.Helper()
	text, left, err := Grammar(Want{Tools: lazyTools, Parallel: parallel, Style: style})
	if err != nil || text == "" || left != nil {
		t.Fatalf("%q, left %v, %v", text, left, err)
	}
	return text
}

// Words are free, and what begins a call has to be one.
func TestLazyGrammar(t *testing.T) {
	good, bad := `"arguments": {"a": 1, "b": 2}}`, `"arguments": {"a": "1", "b": 2}}`
	free := []string{
		"", "Hello.", "<", "<tool_cal", "a < b <to <tool_ x", "{", `{"name": "ad`, "{\n  \"name\": \"skerry\",\n  \"version\": 1\n}", `I'd say {"name": "add", ` + bad, "Grüße, 你好 🙂\n\n- {\n",
		`{"name": "subtract", "arguments": 3}`, "```json\n{\"a\": 1}\n```", `"name": "add"`,
	}
	for style, c := range map[Style]struct{ yes, no []string }{
		JSON:   {[]string{}, []string{}},
		Hermes: {[]string{"Let me see.\n<tool_call>\n{\"name\": \"add\", " + good + "\n</tool_call>", "<<tool_call>{\"name\":\"address\", \"arguments\": {\"of\": \"me\"}}</tool_call>"}, []string{"<tool_call>", "x<tool_call>{\"name\": \"add\", " + bad + "</tool_call>", "<tool_call>{\"name\": \"subtract\", " + good + "</tool_call>", "<tool_call>{\"name\": \"add\", " + good}},
		Mistral: {[]string{"So: [TOOL_CALLS][{\"name\": \"add\", " + good + "]", "[{\"name\": \"add\", " + good + "]", "[x] [TOOL_"},
			[]string{"[TOOL_CALLS] none", "[{\"name\": \"add\", " + bad + "]", "[\n{\"name\": \"add\", " + good + ", 3]"}},
		Llama: {[]string{}, []string{"<|python_tag|>print()"}},
	} {
		g := grammarOf(t, lazyGrammar(t, style, true))
		for _, text := range append(slices.Clone(free), c.yes...) {
			if !g.matches(text) {
				t.Errorf("style %d: not allowed: %q", style, text)
			}
		}
		arguments := func(s string) string { return strings.Replace(s, "arguments", style.arguments(), 1) }
		no := append([]string{}, c.no...)
		for _, lead := range []string{"", "Well:\n", "  ", "```json\n", "{\n"} {
			call := lead + `{"name": "add", ` + arguments(good)
			if !g.matches(call + "\n Then this.") {
				t.Errorf("style %d: not allowed: %q", style, call)
			}
			no = append(no, lead+`{"name": "add", `+arguments(bad), lead+"{ \"name\" :\n\"add\"}", call+" and\n{\"name\": \"add\", "+arguments(bad))
		}
		for _, text := range no {
			if g.matches(text) {
				t.Errorf("style %d: allowed: %q", style, text)
			}
		}
		one := grammarOf(t, lazyGrammar(t, style, false))
		call := `{"name": "add", ` + arguments(good)
		if !one.matches("x\n"+call) || one.matches(call+" and more") || !one.matches("no call") {
			t.Errorf("style %d: one call and no more", style)
		}
	}
}

// mostly is a text of pieces that make calls or nearly do.
func mostly(rng *rand.Rand) string {
	pieces := []string{"<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "{", "}", "[", "]", ",", ";", ":", "\n", " ", "```", "json", `"`, `\`, "<", "é", "x",
		`"name"`, `"n\u0061me"`, `"add"`, `"address"`, `"arguments"`, `"parameters"`, `{"name": "add", "arguments": {"a": 1, "b": 2}}`, `{"name": "add", "parameters": {"a": 1, "b": 2}}`,
		`{"name": "add", "arguments": `, `{"arguments": {"a": 3}, "name": "add"}`, `{"a": 1, "b": 2}`, `{"a": true}`, `{"name": "address", "arguments": "x"}`, `{"function": "add", "arguments": {}}`}
	var b strings.Builder
	for range rng.IntN(14) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// checkLazy fails the test where the parser finds a call in a text the grammar allows that is
// not of its schema. It returns how many calls were found.
func checkLazy(t *testing.T, style Style, g bound, text string) int {
	t.Helper()
	m, err := grammar.NewMatcher(g.Grammar, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := m.Accept([]byte(text)); !ok || err != nil || !m.Whole() {
		return 0
	}
	p := NewParser(style, infer.Request{Tools: lazyTools, ParallelTools: true}, "a", true)
	_, calls := p.Push(text)
	_, more := p.End()
	arguments := map[int]string{}
	names := map[int]string{}
	for _, c := range append(calls, more...) {
		arguments[c.Index] += c.Arguments
		names[c.Index] += c.Name
	}
	for i, name := range names {
		var args map[string]any
		if err := json.Unmarshal([]byte(arguments[i]), &args); err != nil {
			t.Fatalf("style %d: %q: the arguments are %q", style, text, arguments[i])
		}
		keys := map[string][]string{"add": {"a", "b"}, "address": {"of"}}[name]
		for _, k := range keys {
			if _, ok := args[k]; !ok || len(args) != len(keys) && name == "add" {
				t.Fatalf("style %d: %q: %s is called with %q", style, text, name, arguments[i])
			}
		}
	}
	return len(names)
}

// What the parser takes for a call is what the grammar has bound, whatever the model writes.
func TestLazyCallsAreBound(t *testing.T) {
	rng := testseed.Rand(t)
	for style := range Style(4) {
		g := grammarOf(t, lazyGrammar(t, style, true))
		called := 0
		for range 1000 {
			called += checkLazy(t, style, g, mostly(rng))
		}
		t.Logf("style %d: %d calls", style, called)
		if called < 5 {
			t.Errorf("style %d: only %d calls were found", style, called)
		}
	}
}

func FuzzLazyCalls(f *testing.F) {
	var grammars [4]string
	for style := range byte(4) {
		grammars[style] = lazyGrammar(f, Style(style), true)
		f.Add(style, `[{"name": "add", "arguments": {"a": 1, "b": 2}}]`)
		f.Add(style, "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_call>")
	}
	f.Fuzz(func(t *testing.T, style byte, text string) {
		checkLazy(t, Style(style%4), grammarOf(t, grammars[style%4]), text)
	})
}

// A long answer in words costs each token the same, and many tools compile in time.
func TestLazyGrammarIsCheap(t *testing.T) {
	many := make([]infer.Tool, 128)
	for i := range many {
		many[i] = infer.Tool{Name: fmt.Sprintf("tool_%d_%s", i, strings.Repeat(string(rune('a'+i%26)), 40)), Strict: i == 7}
	}
	begun := time.Now()
	text, left, err := Grammar(Want{Tools: many, Parallel: true, Style: Hermes})
	t.Logf("%d bytes, left %v, %v, after %v", len(text), left, err, time.Since(begun))
	if err != nil || text != "" || !slices.Equal(left, []string{"tools/7/strict"}) {
		t.Error("what is too much is not said")
	}
	for i := range many {
		many[i].Name = fmt.Sprintf("tool_%d_of_many", i)
	}
	if text, left, err := Grammar(Want{Tools: many[:100], Parallel: true, Style: Hermes}); text == "" || left != nil || err != nil {
		t.Errorf("a hundred tools: %q, %v", left, err)
	}
	m, err := grammar.NewMatcher(grammarOf(t, lazyGrammar(t, Hermes, true)).Grammar, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200_000 {
		if ok, err := m.Accept([]byte([]string{"Some ", "words < ", "{\n", "and "}[i%4])); !ok || err != nil {
			t.Fatalf("after %d tokens: %v, %v", i, ok, err)
		}
	}
}
