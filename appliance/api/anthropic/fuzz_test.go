package anthropic

import (
	"net/http"
	"testing"

	"skerry/appliance/api/exchange"
)

func FuzzMessages(f *testing.F) {
	f.Add([]byte(`{"max_tokens": 5, "system": "s", "messages": [{"role": "user", "content": "x"}], "thinking": {"type": "enabled"}}`))
	f.Add([]byte(`{"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]}]}]}`))
	f.Add([]byte(`{"messages": [{"role": "user", "content": []}], "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "f"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m messagesRequest
		err := exchange.Parse(body, &m)
		if err == nil {
			q, wrong := m.request()
			if err = wrong; err == nil && (len(q.Messages) == 0 || q.MaxTokens < 0 || len(q.Tools) > 128) {
				t.Errorf("it is a request: %+v", q)
			}
		}
		if err == nil {
			return
		}
		if p := exchange.ProblemOf(err); p.Status != http.StatusBadRequest || p.Said.Message == "" || len(p.Said.Message) > 1000 {
			t.Errorf("%d %+v", p.Status, p.Said)
		}
	})
}
