package decode

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// A wait for the cloud is told of every second, however the answer waits, so that
// whoever sees to its progress does not take it for stuck.
func TestWaitingIsTold(t *testing.T) {
	slow := func(n int) (time.Duration, int32, error) {
		if n == 1 {
			return 150 * time.Second, cloudSays, nil
		}
		return 20 * time.Millisecond, cloudSays, nil
	}
	for name, c := range map[string]struct {
		cloud func() *fakeCloud
		opt   Options
	}{
		"a slow answer": {func() *fakeCloud { return &fakeCloud{answer: slow} }, Options{MaxTokens: 4}},
		"a lost cloud":  {func() *fakeCloud { return outage(150 * time.Second) }, Options{MaxTokens: 4, OnLoss: infer.AwaitCloud}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				var told atomic.Int64
				last, longest := time.Now(), time.Duration(0)
				c.opt.Waiting = func() {
					told.Add(1)
					longest, last = max(longest, time.Since(last)), time.Now()
				}
				a, err := board(c.cloud()).generate(t, context.Background(), 4, c.opt)
				if err != nil || len(a.Tokens) != 4 {
					t.Fatalf("%d tokens, %v", len(a.Tokens), err)
				}
				if n := told.Load(); n < 140 || longest > 3*time.Second {
					t.Errorf("told %d times in 150 s, %v apart", n, longest)
				}
			})
		})
	}
}
