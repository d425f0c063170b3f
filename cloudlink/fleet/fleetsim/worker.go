package fleetsim

import (
	"fmt"
	"slices"
	"time"

	"skerry/cloudlink/fleet/place"
	"skerry/cloudlink/partition/sched"
)

// worker is one cloud of the fleet.
type worker struct {
	name  string
	at    int32
	t     float64 // seconds of a pass of one row
	m     float64
	dead  bool
	queue sched.Queue[*session]
	pace  sched.Pace
	judge place.Judge
	later place.Later
	told  place.Stage // what the others know

	waiting []*session // whose asks wait
	inUse   int        // contexts
	running int        // rows of the pass that runs, 0 for none
	took    time.Duration
	ends    time.Duration // when the pass that runs should be over

	cores  []time.Duration // when each is free
	boards int             // that are its
	busy   time.Duration
	rows   int
}

// session is a board's at a worker, from an answer's first ask to its last token.
type session struct {
	sched.Flow
	device  sched.Device[*session]
	board   int32
	owed    int // rows that its ask waits for
	granted int // in the pass that runs
}

// Grant gives the session n more rows of the pass being made.
func (s *session) Grant(n int) { s.granted += n }

// pass is what a pass of n rows takes.
func (w *worker) pass(n int) time.Duration {
	return sched.Seconds(w.t * (1 + w.m*float64(n-1)))
}

// warm has the worker know what passes take, as one that has served before.
func (w *worker) warm() {
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		w.pace.Add(n, w.pass(n))
	}
}

// room is how many rows the next pass takes.
func (w *worker) room() int {
	if w.inUse < 2 {
		return maxRows
	}
	return w.pace.Room(passFor, maxRows)
}

// wait predicts how long own rows wait for those of others, as the partition does: of every
// other session no more than one's own go first.
func (w *worker) wait(of *session, own int, now time.Duration) time.Duration {
	others := 0
	for _, s := range w.waiting {
		if s != of {
			others += min(s.owed, own)
		}
	}
	return w.pace.Wait(others, own, w.room()) + max(w.ends-now, 0)
}

// plan begins a pass and returns how long it takes, 0 where there is nothing to do.
func (w *worker) plan(now time.Duration) time.Duration {
	w.queue.Begin()
	for _, s := range w.waiting {
		s.granted, s.Want = 0, s.owed
		w.queue.Add(&s.device, s)
	}
	room := w.room()
	w.running = room - w.queue.Distribute(room)
	if w.running == 0 {
		return 0
	}
	w.took = w.pass(w.running)
	w.ends = now + w.pace.Pass(w.running)
	return w.took
}

// finish ends the pass that runs; done is called for each session that it answers.
func (w *worker) finish(done func(*session)) {
	w.pace.Add(w.running, w.took)
	w.busy += w.took
	w.rows += w.running
	w.running, w.ends = 0, 0
	w.waiting = slices.DeleteFunc(w.waiting, func(s *session) bool {
		s.owed -= s.granted
		if s.granted == 0 || s.owed > 0 {
			s.granted = 0
			return false
		}
		s.granted = 0
		done(s)
		return true
	})
}

// leave ends a session; rows of it in the pass that runs are computed for nobody.
func (w *worker) leave(s *session) {
	w.inUse--
	w.waiting = slices.DeleteFunc(w.waiting, func(o *session) bool { return o == s })
}

// handshake lets a board in with the core that is free first, and returns when it is done.
func (w *worker) handshake(now, takes time.Duration) time.Duration {
	at := 0
	for i, free := range w.cores {
		if free < w.cores[at] {
			at = i
		}
	}
	w.cores[at] = max(w.cores[at], now) + takes
	return w.cores[at]
}

// measured is what the worker knows of itself.
func (w *worker) measured(contexts int, now time.Duration) place.Measured {
	one := w.pace.Pass(1)
	return place.Measured{
		Contexts: contexts, Free: contexts - w.inUse, Pass: one, Further: w.pace.Pass(2) - one, Wait: w.wait(nil, 1, now), MaxWait: maxWait,
	}
}

func workerName(i int) string { return fmt.Sprintf("worker-%d", i+1) }

// worth is what the worker's weight would be if it were idle: how its speed stands to others'.
func (w *worker) worth() float64 { return 1 / w.t }

// rate is how many rows a second the worker computes in passes that are full.
func (w *worker) rate() float64 {
	n := w.pace.Room(passFor, maxRows)
	return float64(n) / w.pass(n).Seconds()
}
