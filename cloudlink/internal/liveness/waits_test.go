package liveness

import (
	"skerry/cloudlink/internal/backoff"
	"testing"
	"time"
)

// A cloud that is known to be slow and not silent is waited for longer, within bounds.
func TestLeastWait(t *testing.T) {
	for least, want := range map[time.Duration]time.Duration{
		0: LeastWait, time.Second: LeastWait, time.Minute: time.Minute, 24 * time.Hour: MostWait,
	} {
		w := Waits{Least: least}
		if got := w.Limit(1, 0); got != want {
			t.Errorf("least %v: %v, want %v", least, got, want)
		}
	}
}

// TestWaitLimit: what to wait for follows what was measured, within bounds.
func TestWaitLimit(t *testing.T) {
	var w Waits
	if got := w.Limit(20, 0); got != LeastWait {
		t.Errorf("20 rows, nothing measured: %v", got)
	}
	if got := w.Limit(4096, 0); got < 5*time.Minute || got > MostWait {
		t.Errorf("4096 rows, nothing measured: %v", got)
	}
	for range 10 {
		w.Answered(1, 20*time.Millisecond)
	}
	if got := w.Limit(4096, 0); got < 80*time.Second {
		t.Errorf("4096 rows after single ones: %v", got)
	}
	if got := w.Limit(1, 24*time.Hour); got > 5*mostQueue {
		t.Errorf("a queue of a day: %v", got)
	}
	w.Answered(1, 10*time.Second)
	if got := w.Limit(1, 0); got <= LeastWait {
		t.Errorf("after an answer of 10 s: %v", got)
	}
	var last time.Duration
	for range 20 {
		pause := w.GiveUp()
		if pause < last || pause > backoff.Last || w.Limit(1, 0) > MostWait {
			t.Errorf("%v, then %v, waiting %v", last, pause, w.Limit(1, 0))
		}
		last = pause
	}
}
