package api

import (
	"strings"
	"testing"

	"skerry/appliance/infer"
)

const messagesBody = `{"model": "fake-135m", "max_tokens": 6, "temperature": 0, "messages": [{"role": "user", "content": "hello"}]`

func TestMessages(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	whole := c.post("/v1/messages", messagesBody+`, "system": [{"type": "text", "text": "be brief"}], "stop_sequences": ["zzz"]}`).ok()
	text, _ := whole.json("content", 0, "text").(string)
	if text == "" || whole.json("stop_reason") != "max_tokens" || whole.json("usage", "input_tokens") != 7.0 || whole.json("usage", "cache_read_input_tokens") != 4.0 || whole.json("skerry", "mode") != "standalone" {
		t.Errorf("the reply is %s", whole.body)
	}
	if q := f.last(); len(q.Messages) != 2 || q.Messages[0].Role != "system" || q.MaxTokens != 6 || q.Stop[0] != "zzz" {
		t.Errorf("the backend was asked %+v", q)
	}
	events, comments := c.post("/v1/messages", messagesBody+`, "system": "be brief", "stream": true}`).ok().events("")
	if len(comments) != 2 {
		t.Errorf("comments are %q", comments)
	}
	var kinds []string
	var said string
	for _, e := range events {
		if dig(t, []byte(e.data), "type") != e.kind {
			t.Errorf("event %s has %s", e.kind, e.data)
		}
		if n := len(kinds); n == 0 || kinds[n-1] != e.kind {
			kinds = append(kinds, e.kind)
		}
		more, _ := dig(t, []byte(e.data), "delta", "text").(string)
		said += more
	}
	if got, want := strings.Join(kinds, " "), "message_start content_block_start content_block_delta content_block_stop message_delta message_stop"; got != want || said != text {
		t.Errorf("events are %s, and say %q, want %q", got, said, text)
	}
	delta := []byte(events[len(events)-2].data)
	if dig(t, delta, "delta", "stop_reason") != "max_tokens" || dig(t, delta, "usage", "output_tokens") != 6.0 || dig(t, delta, "skerry", "mode") != "standalone" {
		t.Errorf("the message ends with %s", delta)
	}
	if n := c.post("/v1/messages/count_tokens", `{"model": "fake-135m", "messages": [{"role": "user", "content": "hello"}]}`).ok().json("input_tokens"); n != 3.0 {
		t.Errorf("%v tokens", n)
	}
}

func TestMessagesTools(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := `{"max_tokens": 50, "messages": [{"role": "user", "content": "weather?"}],
		"tools": [{"name": "time"}, {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}}}], "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": true}`
	r := c.post("/v1/messages", body+"}").ok()
	if r.json("stop_reason") != "tool_use" || r.json("content", 0, "type") != "tool_use" || r.json("content", 0, "input", "city") != "Oslo" || r.json("content", 0, "id") != "call_1" {
		t.Errorf("the reply is %s", r.body)
	}
	if q := f.last(); q.ToolChoice != "function:weather" || q.ParallelTools {
		t.Errorf("the backend was asked %+v", q)
	}
	events, _ := c.post("/v1/messages", body+`, "stream": true}`).ok().events("")
	var args string
	for _, e := range events {
		more, _ := dig(t, []byte(e.data), "delta", "partial_json").(string)
		args += more
	}
	if args != `{"city":"Oslo"}` || dig(t, []byte(events[1].data), "content_block", "name") != "weather" {
		t.Errorf("streamed: %s after %s", args, events[1].data)
	}
	c.post("/v1/messages", `{"max_tokens": 5, "messages": [{"role": "user", "content": "weather?"},
		{"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}}]},
		{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "rain"}], "is_error": false}, {"type": "text", "text": "well?"}]}]}`).ok()
	m := f.last().Messages
	if len(m) != 4 || m[1].ToolCalls[0].Name != "weather" || m[1].Content != "Let me look." || m[2].Role != "tool" || m[2].Content != "rain" || m[3].Content != "well?" {
		t.Errorf("the backend was told %+v", m)
	}
}

func TestMessagesEnds(t *testing.T) {
	c := newClient(t, &fake{script: scripted([]infer.Event{
		{Kind: infer.Text, Index: 1, Thought: "hm", Tokens: []infer.Token{{ID: 1}}}, {Kind: infer.Text, Index: 2, Text: "yes", Tokens: []infer.Token{{ID: 2}}},
		{Kind: infer.End, Index: 2, Finish: infer.Stop, StopString: "END"},
	})})
	r := c.post("/v1/messages", messagesBody+`, "thinking": {"type": "enabled", "budget_tokens": 1024}}`).ok()
	if r.json("content", 0, "thinking") != "hm" || r.json("content", 1, "text") != "yes" || r.json("stop_reason") != "stop_sequence" || r.json("stop_sequence") != "END" {
		t.Errorf("the reply is %s", r.body)
	}
	events, _ := c.post("/v1/messages", messagesBody+`, "stream": true}`).ok().events("")
	if dig(t, []byte(events[1].data), "content_block", "type") != "thinking" || dig(t, []byte(events[5].data), "index") != 1.0 {
		t.Errorf("the stream is %v", events)
	}
	for body, kind := range map[string]string{
		`{"max_tokens": 5}`: "invalid_request_error", messagesBody + `, "tool_choice": {"type": "any"}}`: "invalid_request_error",
		strings.Replace(messagesBody, "fake-135m", "nope", 1) + "}": "not_found_error", `{"messages": [{"role": "user", "content": "x"}]}`: "invalid_request_error",
		messagesBody + `, "tools": [{"type": "bash_20250124", "name": "bash"}]}`: "invalid_request_error",
	} {
		if r := c.post("/v1/messages", body); r.json("type") != "error" || r.json("error", "type") != kind {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	broken := newClient(t, &fake{script: saying("half", &infer.Error{Code: infer.Internal, Message: "the weights are gone"})})
	events, _ = broken.post("/v1/messages", messagesBody+`, "stream": true}`).ok().events("")
	if last := events[len(events)-1]; last.kind != "error" || dig(t, []byte(last.data), "error", "type") != "api_error" {
		t.Errorf("a failure in the middle ends with %v", last)
	}
}
