package liveness

import (
	"sync"
	"time"

	"skerry/cloudlink/internal/backoff"
	"skerry/cloudlink/monitor"
)

// A cloud that answers probes may still never answer an ask. How long it may take
// is judged by what it has taken before: Factor times that, no less than
// LeastWait and no more than MostWait, counted from when it had all rows of the ask,
// or got on with them last. An ask that lacks rows of this board has no bound.
const (
	LeastWait = 5 * time.Second
	MostWait  = 10 * time.Minute
	Factor    = 4
	// newRow is the computing to allow for a position before anything was measured,
	// and knownRow the least afterwards: what one row costs says little of a
	// thousand.
	newRow   = 25 * time.Millisecond
	knownRow = 5 * time.Millisecond
	// mostQueue bounds what is believed of a queue that the cloud reports.
	mostQueue = 30 * time.Second
)

// A link that gives up waiting leaves the cloud alone for silentPause, three times
// as long each further time without an answer in between, while the bound of the
// wait doubles: a cloud that is only slow is waited for in the end.
const silentPause = 5 * time.Second

// Waits knows what answers have cost on a link.
type Waits struct {
	Least time.Duration // of the bound; LeastWait where it is shorter

	mu    sync.Mutex // guards all following
	cost  monitor.BatchCost
	given int // up in a row
}

// Answered takes in that rows positions took the cloud took.
func (w *Waits) Answered(rows int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cost.Observe(rows, took)
	w.given = 0
}

// Limit is how long an answer that takes rows positions may take, where the cloud
// reports a queue.
func (w *Waits) Limit(rows int, queue time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	cost, dev, known := w.cost.Cost(rows)
	least := newRow
	if known {
		least = knownRow
	}
	cost = max(cost+dev, time.Duration(rows)*least)
	limit := max(Factor*(min(queue, mostQueue)+cost), LeastWait, w.Least)
	return min(limit<<min(w.given, 8), MostWait)
}

// GiveUp returns for how long to leave the cloud alone.
func (w *Waits) GiveUp() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	pause := silentPause
	for range min(w.given, 8) {
		pause *= 3
	}
	w.given++
	return min(pause, backoff.Last)
}
