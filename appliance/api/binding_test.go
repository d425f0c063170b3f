package api

import (
	"fmt"
	"strings"
	"testing"
)

// A field that is meant to bind an answer is obeyed or refused by its name, on every
// route.
func TestBindingsAreObeyedOrRefused(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	const schema = `{"type":"object","properties":{"a":{"type":"integer"}}}`
	routes := map[string]string{
		"/v1/chat/completions": chatBody,
		"/v1/completions":      `{"prompt": "x"`,
		"/api/chat":            `{"model": "fake-135m", "stream": false, "messages": [{"role": "user", "content": "x"}]`,
		"/api/generate":        `{"model": "fake-135m", "stream": false, "prompt": "x"`,
	}
	for path, body := range routes {
		openAI := strings.HasPrefix(path, "/v1/")
		chat := strings.Contains(path, "chat")
		for _, b := range []struct {
			name, value string
			obeyed      bool
		}{
			{"format", schema, true}, {"format", `"json"`, true}, {"format", "{}", true},
			{"response_format", `{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}`, openAI},
			{"response_format", `{"type":"json_object","schema":` + schema + `}`, openAI},
			{"response_format", `{"type":"json_object"}`, openAI},
			{"json_schema", schema, openAI}, {"guided_json", schema, openAI},
			{"schema", schema, false}, {"response_schema", schema, false}, {"grammar", `"root ::= [0-9]"`, openAI}, {"guided_grammar", `"x"`, openAI},
			{"guided_regex", `"[0-9]+"`, false}, {"guided_choice", `["a","b"]`, openAI}, {"structured_outputs", `{"json":{}}`, openAI},
			{"structural_tag", `{"x":1}`, false}, {"regex", `"a"`, false}, {"ebnf", `"a"`, false},
			{"tools", `[{"type":"function","function":{"name":"f"}}]`, chat},
		} {
			before := len(f.asked)
			r := c.do("POST", path, fmt.Sprintf(`%s, %q: %s}`, body, b.name, b.value))
			switch {
			case b.obeyed && (r.status != 200 || len(f.asked) == before):
				t.Errorf("%s %s %s: %d %s", path, b.name, b.value, r.status, r.body)
			case b.obeyed && b.name != "tools" && f.last().Format == "":
				t.Errorf("%s %s %s is dropped", path, b.name, b.value)
			case !b.obeyed && (r.status != 400 || !strings.Contains(r.body, b.name+" is not supported here")):
				t.Errorf("%s %s %s: %d %s", path, b.name, b.value, r.status, r.body)
			}
		}
		// What says nothing binds nothing.
		for _, name := range []string{"format", "grammar", "guided_json", "json_schema", "schema", "tools", "tool_choice"} {
			if r := c.do("POST", path, fmt.Sprintf(`%s, %q: null}`, body, name)); r.status != 200 {
				t.Errorf("%s %s null: %d %s", path, name, r.status, r.body)
			}
		}
		for _, nothing := range []string{`"tools": [ ]`, `"guided_choice": [` + "\n" + `]`, `"structured_outputs": null`} {
			if r := c.do("POST", path, body+", "+nothing+"}"); r.status != 200 {
				t.Errorf("%s %s: %d %s", path, nothing, r.status, r.body)
			}
		}
	}
	r := c.do("POST", "/v1/chat/completions", chatBody+`, "response_format": {"type": "json_object"}, "guided_json": {"type": "object"}}`)
	if r.status != 400 || !strings.Contains(r.body, "response_format and guided_json both set") {
		t.Errorf("two at once: %d %s", r.status, r.body)
	}
	c.post("/v1/chat/completions", chatBody+`, "guided_json": { }}`).ok()
	if q := f.last(); q.Format != "schema" || string(q.Schema) != "{ }" {
		t.Errorf("any JSON: %q %s", q.Format, q.Schema)
	}
}

// Strictness reaches the backend, and Ollama's tool_choice is heard where most send it.
func TestStrictness(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for strict, effort := range map[string]bool{`, "strict": true`: false, `, "strict": false`: true, ``: false, `, "strict": null`: false} {
		c.post("/v1/chat/completions", chatBody+`, "response_format": {"type": "json_schema", "json_schema": {"name": "n"`+strict+`, "schema": {"type": "object"}}}}`).ok()
		if f.last().BestEffort != effort {
			t.Errorf("%s: best effort %v", strict, f.last().BestEffort)
		}
	}
	tools := `, "tools": [{"type": "function", "function": {"name": "a", "strict": true}}, {"type": "function", "function": {"name": "b"}}]`
	c.post("/v1/chat/completions", chatBody+tools+`}`).ok()
	if q := f.last(); !q.Tools[0].Strict || q.Tools[1].Strict {
		t.Errorf("the backend was asked %+v", q.Tools)
	}
	chat := `{"model": "fake-135m", "stream": false, "messages": [{"role": "user", "content": "x"}]` + tools
	c.post("/api/chat", chat+`, "tool_choice": "required"}`).ok()
	if f.last().ToolChoice != "required" {
		t.Errorf("tool_choice %q", f.last().ToolChoice)
	}
}
