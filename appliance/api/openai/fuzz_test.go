package openai

import (
	"net/http"
	"testing"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// decoded holds what decoding foreign bytes must keep to.
func decoded(t *testing.T, q infer.Request, err error) {
	t.Helper()
	if err != nil {
		if p := exchange.ProblemOf(err); p.Status != http.StatusBadRequest || p.Said.Message == "" || len(p.Said.Message) > 1000 || len(p.Said.Param) > 200 {
			t.Errorf("%d %+v", p.Status, p.Said)
		}
		return
	}
	if q.MaxTokens < 0 || q.TopLogprobs < 0 || q.TopLogprobs > 20 || len(q.Stop) > 16 || len(q.Tools) > 128 || q.Context < 0 {
		t.Errorf("it is a request: %+v", q)
	}
}

func FuzzOpenAI(f *testing.F) {
	f.Add([]byte(`{"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}], "max_tokens": 6, "stop": "a"}`))
	f.Add([]byte(`{"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": "auto"}`))
	f.Add([]byte(`{"messages": "", "prompt": ["a", "b"], "seed": 1e400, "n": 2, "stream_options": 1}`))
	f.Add([]byte(`{"prompt": [[1, 2], [3]], "logit_bias": {"5": 1}, "structured_outputs": {"choice": ["a"]}, "n": 2, "echo": true}`))
	f.Add([]byte(`{"messages": [{"role": "assistant", "content": "a"}], "logit_bias": [[1, false]], "chat_template_kwargs": {"a": 1}, "think": "high", "dry_multiplier": 1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var chat chatRequest
		err := exchange.Parse(body, &chat)
		var q infer.Request
		if err == nil {
			q, err = chat.request()
		}
		decoded(t, q, err)
		var text completionRequest
		if err = exchange.Parse(body, &text); err == nil {
			q, err = text.request()
		}
		decoded(t, q, err)
		var fill infillRequest
		if err = exchange.Parse(body, &fill); err == nil {
			q.Options, err = fill.options()
		}
		decoded(t, q, err)
	})
}

func FuzzResponses(f *testing.F) {
	f.Add([]byte(`{"input": "x", "tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}}`))
	f.Add([]byte(`{"input": [{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}, {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "y"}]}], "instructions": "z"}`))
	f.Add([]byte(`{"input": [{"type": "reasoning"}], "text": {"format": {"type": "json_schema", "schema": {}}}, "reasoning": {"effort": "low"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var r responseRequest
		err := exchange.Parse(body, &r)
		var q infer.Request
		if err == nil {
			q, err = r.request([]infer.Message{{Role: "system", Content: "a"}})
		}
		decoded(t, q, err)
	})
}

func FuzzResponseID(f *testing.F) {
	f.Add("resp_a_b")
	f.Add("resp__")
	f.Fuzz(func(t *testing.T, id string) {
		if session, answer, ok := parseResponseID(id); ok && "resp_"+session+"_"+answer != id {
			t.Errorf("%q is %q and %q", id, session, answer)
		}
	})
}
