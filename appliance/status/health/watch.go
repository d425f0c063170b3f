package health

import (
	"context"
	"slices"
	"time"

	"skerry/appliance/status"
)

// lookEvery is how often Watch looks: what shows after some seconds is then late by
// no more, and a board at rest does next to nothing.
const lookEvery = 10 * time.Second

// Watch judges the status again and again until ctx ends, so that problems are
// noticed while nobody looks, and calls changed with those to show whenever they
// are others than before.
func (t *Tracker) Watch(ctx context.Context, st func() status.Status, changed func([]status.Problem)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last []status.Problem
	for {
		t.Judge(st())
		now := t.Active()
		if !slices.EqualFunc(now, last, func(a, b status.Problem) bool { return a.Code == b.Code && a.Since.Equal(b.Since) }) {
			last = now
			changed(now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
