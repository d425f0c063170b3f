package place

import (
	"testing"
	"time"
)

// TestLater: the time to come again grows while claims fail, not with how many fail at once, and
// comes down again once they are made.
func TestLater(t *testing.T) {
	var l Later
	now := time.Unix(1000, 0)
	for range 1000 {
		if got := l.Failed(now, 0.5); got != leastLater {
			t.Fatalf("of many at once one is told %v", got)
		}
	}
	for range 20 {
		now = now.Add(mostLater)
		l.Failed(now, 0)
	}
	if lo, hi := l.Failed(now, 0), l.Failed(now, 0.999); lo != mostLater/2 || hi <= mostLater || hi > 3*mostLater/2 {
		t.Errorf("after a long while between %v and %v", lo, hi)
	}
	for range 20 {
		now = now.Add(mostLater)
		l.Made(now)
	}
	if got := l.Failed(now, 0.5); got != leastLater {
		t.Errorf("after claims were made: %v", got)
	}
}
