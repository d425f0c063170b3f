package backoff

import (
	"testing"
	"time"
)

// TestBackoff doubles up to its bound, spread over half of each pause.
func TestBackoff(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		b := Backoff{Random: func() float64 { return random }, Most: Last}
		for want := First; ; want *= 2 {
			want = min(want, Last)
			got := b.Failed(false)
			if d := (got - want/2 - time.Duration(random*float64(want/2))).Abs(); d > time.Millisecond {
				t.Errorf("random %v: pause %v of %v", random, got, want)
			}
			if want == Last {
				break
			}
		}
		if got := b.Failed(true); got < Refused/2 {
			t.Errorf("refused: %v", got)
		}
		b.Reset()
		if got := b.Failed(false); got > First {
			t.Errorf("after a success: %v", got)
		}
	}
}
