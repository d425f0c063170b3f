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
	})
}
