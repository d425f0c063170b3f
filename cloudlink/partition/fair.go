package partition

import (
	"math"
	"time"
)

const (
	// quantum is how many rows a session gets before the next is looked at.
	quantum = 4
	// lag is how many rows a flow may be ahead of the hindmost and still go
	// first for its earlier deadline.
	lag = 4 * quantum
)

// flow is one of those that share a stage by start-time fair queueing (Goyal,
// Vin and Cheng 1996) over rows: every flow has a virtual start, which a row
// moves on by one, and the hindmost is served. One that comes back from idling
// starts at the virtual time of then, so that nobody saves service up. Among
// flows about even the earliest deadline goes first.
//
// There are two levels: devices share the stage, and a device's sessions its
// share.
type flow struct {
	start    float64
	want     int       // rows, in the plan being made
	deadline time.Time // of the earliest ask, zero for none
}

func (f *flow) share() *flow { return f }

// lane is a device's share of one stage.
type lane struct {
	flow
	account *account
	now     float64 // virtual time of its sessions

	gathered bool    // in the lanes of the plan being made
	tails    []*tail // with something to do, in the plan being made
}

// next returns the flow to serve, and false when none wants anything. now is
// the virtual time of the flows.
func next[F interface{ share() *flow }](now *float64, flows []F) (best F, ok bool) {
	low := math.Inf(1)
	for _, o := range flows {
		if f := o.share(); f.want > 0 {
			f.start = max(f.start, *now)
			low = min(low, f.start)
		}
	}
	if math.IsInf(low, 1) {
		return best, false
	}
	*now = max(*now, low)
	for _, o := range flows {
		f := o.share()
		if f.want == 0 || f.start > low+lag {
			continue
		}
		if !ok || f.before(best.share()) {
			best, ok = o, true
		}
	}
	return best, ok
}

// before reports whether f goes first of two flows about even.
func (f *flow) before(o *flow) bool {
	switch {
	case f.deadline.Equal(o.deadline):
		return f.start < o.start
	case f.deadline.IsZero() || o.deadline.IsZero():
		return o.deadline.IsZero()
	}
	return f.deadline.Before(o.deadline)
}

// serve counts n rows given to f.
func (f *flow) serve(n int) {
	f.start += float64(n)
	f.want -= n
}

// distribute grants up to room rows to the tails of lanes, what each wants at
// most, and returns the room left.
func distribute(now *float64, lanes []*lane, room int) int {
	for room > 0 {
		l, ok := next(now, lanes)
		if !ok {
			break
		}
		t, ok := next(&l.now, l.tails)
		if !ok { // the sum of the wants is the lane's
			l.want = 0
			continue
		}
		n := min(quantum, t.want, room)
		l.serve(n)
		t.serve(n)
		t.granted += n
		room -= n
	}
	return room
}
