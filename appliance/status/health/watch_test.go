package health

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/status"
)

// Problems are noticed though nobody looks, and told when they change.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		st, told := calm(), [][]string{}
		tr := NewTracker(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			tr.Watch(ctx, func() status.Status {
				mu.Lock()
				defer mu.Unlock()
				return st
			}, func(p []status.Problem) { told = append(told, codes(p)) })
		})
		set := func(ill func(*status.Status)) {
			mu.Lock()
			defer mu.Unlock()
			st = calm()
			ill(&st)
		}
		time.Sleep(time.Minute)
		set(ills[LinkDown])
		time.Sleep(time.Minute)
		set(ills[NoNetwork])
		time.Sleep(time.Minute)
		set(func(*status.Status) {})
		time.Sleep(time.Minute)
		cancel()
		wg.Wait()
		want := [][]string{{LinkDown.Code}, {NoNetwork.Code}, nil}
		if !slices.EqualFunc(told, want, slices.Equal) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
