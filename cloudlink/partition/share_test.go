package partition

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// heldDraws gives what a test says, once it says so.
type heldDraws struct{ draws chan float64 }

func (h heldDraws) Draw(_ context.Context, _ string, _ int, positions float64) (float64, time.Duration, error) {
	if got := min(<-h.draws, positions); got > 0 {
		return got, 0, nil
	}
	return 0, time.Second, nil
}

func (h heldDraws) Return(context.Context, string, int, float64) error { return nil }

// A device is held back by its quota where the other workers say that there is none, and not while
// they are asked.
func TestHeldBack(t *testing.T) {
	h := heldDraws{make(chan float64)}
	var wg sync.WaitGroup
	defer wg.Wait()
	now := time.Unix(1e9, 0)
	a := newAccount("pi", Quota{Rows: 60}, slog.New(slog.DiscardHandler))
	a.share = &share{quotas: h, device: "pi", perMinute: 60, clock: func() time.Time { return now }, wake: func() {}, wg: &wg}
	allowed := func(what string, now time.Time, want bool, throttled uint64) {
		t.Helper()
		if at := a.allowedAt(now); at.After(now) == want || a.throttled.Load() != throttled {
			t.Errorf("%s: allowed in %v, held back %d times, want %v and %d", what, at.Sub(now), a.throttled.Load(), want, throttled)
		}
	}
	allowed("it is asked", now, false, 0)
	h.draws <- 8
	wg.Wait()
	allowed("it was given some", now, true, 0)
	a.spend(6, now)
	allowed("more is asked for in time", now, true, 0)
	h.draws <- 0
	wg.Wait()
	a.spend(1, now)
	allowed("there is none", now, false, 1)
	allowed("there is still none", now.Add(time.Second/2), false, 1)
	now = now.Add(time.Second)
	allowed("it is asked again", now, false, 1)
	h.draws <- 0
	wg.Wait()
	allowed("there is none yet", now, false, 1)
	now = now.Add(time.Second)
	allowed("and again", now, false, 1)
	h.draws <- 8
	wg.Wait()
	allowed("it has some", now, true, 1)
}
