package systemd

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog feeds systemd's watchdog as long as work makes progress: a decode that
// is stuck stops the feeding and so is restarted, an idle daemon is not.
type Watchdog struct {
	feed func() error

	mu   sync.Mutex // guards all following
	work map[*Work]struct{}
}

// Work is something that must make progress, such as one answer.
type Work struct {
	dog   *Watchdog
	last  time.Time // of its progress
	limit time.Duration
}

// NewWatchdog makes one that feeds systemd's.
func NewWatchdog() *Watchdog {
	return &Watchdog{feed: func() error { return notify(daemon.SdNotifyWatchdog) }, work: map[*Work]struct{}{}}
}

// Begin notes work that has to make progress at least every limit.
func (d *Watchdog) Begin(limit time.Duration) *Work {
	w := &Work{dog: d, last: time.Now(), limit: limit}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work[w] = struct{}{}
	return w
}

// Progress notes that the work has got on.
func (w *Work) Progress() {
	w.dog.mu.Lock()
	defer w.dog.mu.Unlock()
	w.last = time.Now()
}

// Done ends the work; nothing is expected of it any more.
func (w *Work) Done() {
	w.dog.mu.Lock()
	defer w.dog.mu.Unlock()
	delete(w.dog.work, w)
}

// Stuck reports whether some work has made no progress for its limit.
func (d *Watchdog) Stuck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.work {
		if time.Since(w.last) > w.limit {
			return true
		}
	}
	return false
}

// Interval is what the unit's WatchdogSec asks for, 0 for none.
func Interval() time.Duration {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return d
}

// Run feeds the watchdog until ctx ends, three times in each interval, unless work
// is stuck.
func (d *Watchdog) Run(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		if !d.Stuck() {
			d.feed() // one that is lost is followed by another in time
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
