package conversation

import (
	"testing"

	"skerry/appliance/infer"
)

// What is worth a line while an answer has not begun.
func TestWaitingFor(t *testing.T) {
	for _, c := range []struct {
		event infer.Event
		want  string
	}{
		{infer.Event{Kind: infer.Queued, Queue: 1}, "(waiting: 1 request is before this one)"},
		{infer.Event{Kind: infer.Queued, Queue: 3}, "(waiting: 3 requests are before this one)"},
		{infer.Event{Kind: infer.Queued}, "(waiting: this request is the next)"},
		{infer.Event{Kind: infer.Prefill, Done: 0, Total: 2000}, "(reading the prompt: 0 of 2000 tokens, 0 %)"},
		{infer.Event{Kind: infer.Prefill, Done: 1500, Total: 2000, Cached: 1000}, "(reading the prompt: 1500 of 2000 tokens, 75 %)"},
		{infer.Event{Kind: infer.Prefill, Done: 2000, Total: 2000}, ""},
		{infer.Event{Kind: infer.Prefill, Done: 1990, Total: 2000, Cached: 1950}, ""},
		{infer.Event{Kind: infer.Text, Text: "a"}, ""},
		{infer.Event{Kind: infer.End}, ""},
	} {
		if got := waitingFor(c.event); got != c.want {
			t.Errorf("%+v: %q, not %q", c.event, got, c.want)
		}
	}
}
