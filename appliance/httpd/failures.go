package httpd

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// tellFailures is how often keys that are not known here are logged at most.
	tellFailures = time.Minute
	// mostFailing is how many addresses of those who send them are told apart.
	mostFailing = 256
)

// failures logs keys that are not known here: the first at once, those of each minute
// after it as one line with their count, however many strangers try.
type failures struct {
	log *slog.Logger

	mu     sync.Mutex // guards all following
	count  int
	from   map[netip.Addr]int
	minute *time.Timer // of the minute that is under way, nil without one
	closed bool
	work   sync.WaitGroup // the function of minute
}

func newFailures(log *slog.Logger) *failures {
	return &failures{log: log, from: map[netip.Addr]int{}}
}

// note one from an address.
func (f *failures) note(from netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.count++
	if from = clientOf(from); f.from[from] > 0 || len(f.from) < mostFailing {
		f.from[from]++
	}
	if f.minute == nil {
		f.tell()
	}
}

// tell logs what there is, and begins another minute; mu is held.
func (f *failures) tell() {
	most := netip.Addr{}
	for a, n := range f.from {
		if n > f.from[most] {
			most = a
		}
	}
	f.log.Warn("requests with unknown keys were refused", "count", f.count, "addresses", len(f.from), "most_from", most.String())
	f.count = 0
	clear(f.from)
	f.work.Add(1)
	f.minute = time.AfterFunc(tellFailures, f.next)
}

// next ends a minute.
func (f *failures) next() {
	defer f.work.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.minute = nil
	if !f.closed && f.count > 0 {
		f.tell()
	}
}

// close waits for what is under way.
func (f *failures) close() {
	f.mu.Lock()
	f.closed = true
	if f.minute != nil && f.minute.Stop() {
		f.work.Done()
	}
	f.mu.Unlock()
	f.work.Wait()
}
