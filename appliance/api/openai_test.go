package api

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

const chatBody = `{"model": "fake-135m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 6, "temperature": 0`

func TestChat(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/v1/chat/completions", chatBody+`, "user": "somebody", "store": true, "metadata": {"a": 1}, "seed": 5}`).ok()
	if got := r.json("choices", 0, "message", "content"); got == "" || got == nil {
		t.Errorf("content is %v", got)
	}
	if got := r.json("choices", 0, "finish_reason"); got != "length" {
		t.Errorf("finish_reason is %v", got)
	}
	if got := r.json("usage", "total_tokens"); got != 17.0 {
		t.Errorf("total_tokens is %v", got)
	}
	if got := r.json("skerry", "tokens_by_source", "exit1"); got != 6.0 {
		t.Errorf("skerry.tokens_by_source.exit1 is %v", got)
	}
	if got := r.json("system_fingerprint"); got != "fp_abababababab" {
		t.Errorf("system_fingerprint is %v", got)
	}
	q := f.last()
	if q.MaxTokens != 6 || *q.Seed != 5 || *q.Temperature != 0 || q.Client != "127.0.0.1" || q.Model != fakeModel.Name || !q.ParallelTools {
		t.Errorf("the backend was asked %+v", q)
	}
}

func TestChatStream(t *testing.T) {
	c := newClient(t, &fake{})
	want := c.post("/v1/chat/completions", chatBody+"}").ok().json("choices", 0, "message", "content")
	events, comments := c.post("/v1/chat/completions", chatBody+`, "stream": true, "stream_options": {"include_usage": true}}`).ok().events("ChatChunk")
	if !slices.Equal(comments, []string{"queued 1", "prefill 512/4096"}) {
		t.Errorf("comments are %q", comments)
	}
	var text string
	for i, e := range events[:len(events)-2] {
		if e.id == "" {
			t.Errorf("event %d has no id", i)
		}
		if usage, there := dig(t, []byte(e.data)).(map[string]any)["usage"]; usage != nil || !there {
			t.Errorf("usage of event %d is %v", i, usage)
		}
		s, _ := dig(t, []byte(e.data), "choices", 0, "delta", "content").(string)
		text += s
	}
	if text != want {
		t.Errorf("the stream says %q, the whole %q", text, want)
	}
	last := []byte(events[len(events)-2].data)
	if dig(t, last, "usage", "completion_tokens") != 6.0 || dig(t, last, "skerry", "mode") != "standalone" {
		t.Errorf("the last chunk is %s", last)
	}
	if end := events[len(events)-1]; end.data != "[DONE]" {
		t.Errorf("the stream ends with %v", end)
	}

	events, _ = c.post("/v1/chat/completions", chatBody+`, "stream": true}`).ok().events("ChatChunk")
	last = []byte(events[len(events)-2].data)
	if dig(t, last, "choices", 0, "finish_reason") != "length" || dig(t, last, "skerry", "mode") != "standalone" {
		t.Errorf("without usage the last chunk is %s", last)
	}
}

func TestChatLogprobs(t *testing.T) {
	c := newClient(t, &fake{})
	body := chatBody + `, "logprobs": true, "top_logprobs": 2`
	whole := c.post("/v1/chat/completions", body+"}").ok().json("choices", 0, "logprobs", "content").([]any)
	events, _ := c.post("/v1/chat/completions", body+`, "stream": true}`).ok().events("ChatChunk")
	var streamed []any
	for _, e := range events[:len(events)-1] {
		some, _ := dig(t, []byte(e.data), "choices", 0, "logprobs", "content").([]any)
		streamed = append(streamed, some...)
	}
	a, _ := json.Marshal(whole)
	b, _ := json.Marshal(streamed)
	if len(whole) != 6 || string(a) != string(b) {
		t.Errorf("logprobs are\n%s, streamed\n%s", a, b)
	}
	first := whole[0].(map[string]any)
	if top := first["top_logprobs"].([]any); len(top) != 2 || first["logprob"] != -0.25 || len(first["bytes"].([]any)) != len(first["token"].(string)) {
		t.Errorf("the first is %v", first)
	}
}

func TestCompletions(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/v1/completions", `{"model": "fake-135m", "prompt": ["The lighthouse"], "logprobs": 2}`).ok()
	if q := f.last(); q.MaxTokens != 16 || !q.Raw || q.Prompt != "The lighthouse" || q.TopLogprobs != 2 {
		t.Errorf("the backend was asked %+v", q)
	}
	offsets := r.json("choices", 0, "logprobs", "text_offset").([]any)
	tokens := r.json("choices", 0, "logprobs", "tokens").([]any)
	text := r.json("choices", 0, "text").(string)
	if len(tokens) != 16 || !strings.HasPrefix(text[int(offsets[3].(float64)):], tokens[3].(string)) {
		t.Errorf("%q has the tokens %q at %v", text, tokens, offsets)
	}
	events, _ := c.post("/v1/completions", `{"prompt": "The lighthouse", "logprobs": 2, "stream": true}`).ok().events("Completion")
	var said string
	for _, e := range events[:len(events)-1] {
		said += dig(t, []byte(e.data), "choices", 0, "text").(string)
	}
	if at := dig(t, []byte(events[3].data), "choices", 0, "logprobs", "text_offset", 0); said != text || at != offsets[3] {
		t.Errorf("the stream says %q, its fourth at %v", said, at)
	}
}

const toolsBody = `{"messages": [{"role": "user", "content": "weather?"}], "tools": [
	{"type": "function", "function": {"name": "time"}},
	{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}}}}],
	"tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": false`

func TestTools(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/v1/chat/completions", toolsBody+"}").ok()
	if r.json("choices", 0, "finish_reason") != "tool_calls" || r.json("choices", 0, "message", "content") != nil {
		t.Errorf("the reply is %s", r.body)
	}
	if got := r.json("choices", 0, "message", "tool_calls", 0, "function", "arguments"); got != `{"city":"Oslo"}` {
		t.Errorf("arguments are %v", got)
	}
	if q := f.last(); len(q.Tools) != 2 || q.ToolChoice != "function:weather" || q.ParallelTools {
		t.Errorf("the backend was asked %+v", q)
	}
	events, _ := c.post("/v1/chat/completions", toolsBody+`, "stream": true}`).ok().events("ChatChunk")
	var id, args string
	for _, e := range events[:len(events)-1] {
		calls, _ := dig(t, []byte(e.data), "choices", 0, "delta", "tool_calls").([]any)
		for _, call := range calls {
			call := call.(map[string]any)
			some, _ := call["id"].(string)
			id += some
			args += call["function"].(map[string]any)["arguments"].(string)
		}
	}
	if id != "call_1" || args != `{"city":"Oslo"}` {
		t.Errorf("streamed: call %q with %s", id, args)
	}
	c.post("/v1/chat/completions", `{"messages": [{"role": "user", "content": "weather?"},
		{"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}}]},
		{"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "rain"}]}]}`).ok()
	m := f.last().Messages
	if call := m[1].ToolCalls[0]; call.Name != "weather" || string(call.Arguments) != `{"city":"Oslo"}` || m[2].ToolCallID != "call_1" || m[2].Content != "rain" {
		t.Errorf("the backend was told %+v", m)
	}
}

func TestResponseFormat(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for body, want := range map[string]infer.Request{
		`{"type": "text"}`:        {},
		`{"type": "json_object"}`: {Format: "json"},
		`{"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}`: {Format: "schema", Schema: json.RawMessage(`{"type": "object"}`)},
	} {
		c.post("/v1/chat/completions", chatBody+`, "response_format": `+body+"}").ok()
		if q := f.last(); q.Format != want.Format || string(q.Schema) != string(want.Schema) {
			t.Errorf("%s is %q %s", body, q.Format, q.Schema)
		}
	}
}

func TestModels(t *testing.T) {
	c := newClient(t, &fake{})
	if got := c.get("/v1/models").ok().json("data", 0, "id"); got != fakeModel.Name {
		t.Errorf("the first model is %v", got)
	}
	c.get("/v1/models/fake-135m").ok()
	c.get("/v1/models/fake-135m:latest").ok()
}

// A suffix asks for what stands between it and the prompt, in both APIs; an empty one
// asks for nothing.
func TestSuffix(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for _, one := range []struct{ path, body, prompt, suffix string }{
		{"/v1/completions", `{"prompt": "a", "suffix": "b"}`, "a", "b"},
		{"/v1/completions", `{"prompt": [""], "suffix": "b"}`, "", "b"},
		{"/v1/completions", `{"prompt": "a", "suffix": ""}`, "a", ""},
		{"/v1/completions", `{"prompt": "a", "suffix": null}`, "a", ""},
		{"/api/generate", `{"model": "fake-135m", "prompt": "a", "suffix": "b", "stream": false}`, "a", "b"},
	} {
		c.post(one.path, one.body).ok()
		if q := f.last(); q.Prompt != one.prompt || q.Suffix != one.suffix || !q.Raw {
			t.Errorf("%s %s: the backend was asked %+v", one.path, one.body, q)
		}
	}
}
