package node

import (
	"testing"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/server"
)

// The whole model's first token after the cloud's has computed the conversation too: the time
// of a token is that of those after it.
func TestOutlookLeavesCatchingUpOut(t *testing.T) {
	o := &outlook{now: func() time.Time { return time.Unix(1000, 0) }}
	seen := func(answer string, source infer.Source, took time.Duration) {
		o.observe(server.TokenSeen{Answer: answer, Source: source, Mode: decode.Verified, Took: took})
	}
	for range 3 {
		seen("a", infer.FromCloud, 20*time.Millisecond)
		seen("b", infer.FromUnsplit, time.Minute)
		seen("a", infer.FromUnsplit, time.Hour)
		seen("a", infer.FromUnsplit, 30*time.Millisecond)
		seen("b", infer.FromCloud, 20*time.Millisecond)
	}
	if got := time.Duration(o.took * float64(time.Second)).Round(time.Millisecond); got != 30*time.Millisecond {
		t.Errorf("a token of the whole model takes %v", got)
	}
}

// What ended is not remembered for ever.
func TestWholeAnswersAreFew(t *testing.T) {
	var w wholeAnswers
	for i := range 1000 {
		answer := time.Duration(i).String()
		if w.last(answer, true) || !w.last(answer, true) {
			t.Fatal("an answer is taken for another")
		}
	}
	if len(w) > mostAnswers {
		t.Errorf("%d answers are remembered", len(w))
	}
}
