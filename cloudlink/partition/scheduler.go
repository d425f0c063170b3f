package partition

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/backlog"
	"skerry/cloudlink/wire"
)

// scheduler owns one stage: run is the only caller of it, everyone else leaves
// work in tails and wakes run.
type scheduler struct {
	bundle Bundle
	conf   Config
	mem    *memory
	clock  func() time.Time
	log    *slog.Logger
	cost   int64         // bytes of a position in the stage, 0 for not counted
	work   chan struct{} // holds one token when there may be something to do

	mu      sync.Mutex // guards all following
	changed *sync.Cond // a sequence was freed, a backlog shrank, a tail closed
	free    []int
	tails   []*tail
	lanes   map[*account]*lane
	now     float64   // virtual time of the lanes
	pace    pace      // of forward passes
	until   time.Time // when the pass that runs should be over
	stats   stageStats
}

type stageStats struct {
	forwards, rows, answers uint64
	evicted, expired        uint64
	compute                 time.Duration
}

func newScheduler(b Bundle, conf Config, mem *memory) *scheduler {
	s := &scheduler{
		bundle: b, conf: conf, mem: mem, clock: conf.Clock, log: conf.Log,
		work: make(chan struct{}, 1), lanes: map[*account]*lane{}, cost: positionBytes(b.Stage),
	}
	s.changed = sync.NewCond(&s.mu)
	for seq := range b.Stage.Sequences() {
		s.free = append(s.free, seq)
	}
	return s
}

// wake tells run that there may be something to do.
func (s *scheduler) wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// admit gives a session a sequence of so many positions as wanted or, for 0, as it
// has. Sequences of sessions that are ending are waited for.
func (s *scheduler) admit(a *account, wanted int) (*tail, *wire.Error) {
	stage := s.bundle.Stage
	if wanted == 0 {
		wanted = stage.Context()
	}
	if wanted > stage.Context() {
		return nil, &wire.Error{Code: wire.CodeContextFull, Text: fmt.Sprintf(
			"a context of %d positions is longer than the %d of this cloud", wanted, stage.Context())}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(a)
	if refused := s.saturated(l, s.clock()); refused != nil {
		return nil, refused
	}
	for {
		if len(s.free) > 0 && s.mem.reserve(s.fixed()) {
			break
		}
		if !s.freeing() && !s.evictFor(nil, s.clock()) {
			return nil, &wire.Error{Code: wire.CodeBusy, RetryAfter: s.retry(s.clock()), Text: fmt.Sprintf(
				"%d sessions in use take all the room there is for them", len(s.tails))}
		}
		s.changed.Wait()
	}
	t := newTail(s.free[0], wanted, s.conf.MaxQueued, stage.Width())
	t.sched, t.mem, t.lane = s, s.mem, l
	a.sessions.Add(1)
	s.free = s.free[1:]
	s.tails = append(s.tails, t)
	return t, nil
}

// release lets run free the sequence of t.
func (s *scheduler) release(t *tail) {
	s.mu.Lock()
	if !t.closed && !t.detached {
		t.lane.account.sessions.Add(-1)
	}
	t.closed = true
	t.asks = nil
	s.changed.Broadcast()
	s.mu.Unlock()
	s.wake()
}

// run computes until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	batch := newBatch(s.bundle.Stage)
	for {
		s.mu.Lock()
		start := s.clock()
		later := s.plan(batch, start)
		s.until = start.Add(s.pace.of(len(batch.rows)))
		s.mu.Unlock()
		if batch.empty() {
			if !s.rest(ctx, later) {
				return
			}
			continue
		}
		rows, err := batch.compute(s.bundle.Stage)
		now := s.clock()
		answers := summed(rows)
		s.mu.Lock()
		if err != nil {
			s.fail(batch, err)
		} else {
			s.deliver(batch, answers, now, now.Sub(start))
		}
		s.sweep(batch)
		s.until = time.Time{}
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// rest waits until there may be something to do, later at the latest unless
// that is zero, and returns false once ctx ends.
func (s *scheduler) rest(ctx context.Context, later time.Time) bool {
	var alarm <-chan time.Time
	if !later.IsZero() {
		t := time.NewTimer(later.Sub(s.clock()))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.work:
	case <-alarm:
	}
	return true
}

// deliver hands out the rows of a forward pass; mu is held.
func (s *scheduler) deliver(b *batch, answers []logits, now time.Time, took time.Duration) {
	if len(b.rows) == 0 {
		return
	}
	s.stats.forwards++
	s.stats.rows += uint64(len(b.rows))
	s.stats.compute += took
	s.pace.add(len(b.rows), took)
	for _, j := range b.jobs {
		if j.tail.seq != j.seq { // evicted
			answers = answers[len(j.wanted):]
			continue
		}
		j.tail.charge(j.branch, j.n, took)
		for _, pos := range j.wanted {
			n := uint64(j.tail.deliver(j.branch, pos, answers[0], now))
			s.stats.answers += n
			j.tail.lane.account.answers.Add(n)
			answers = answers[1:]
		}
	}
}

// fail ends the sessions of a batch that the stage could not compute: what it
// holds of them is not known; mu is held.
func (s *scheduler) fail(b *batch, err error) {
	s.log.Error("tail stage failed", "bundle", s.bundle.Name, "rows", len(b.rows), "err", err)
	for _, j := range b.jobs {
		if !j.tail.closed && !j.tail.failed && j.tail.seq == j.seq {
			j.tail.failed = true
			j.tail.fail(&wire.Error{Code: wire.CodeInternal, Text: "the tail stage failed"})
		}
	}
}

// sweep frees the sequences that the batch emptied; mu is held.
func (s *scheduler) sweep(b *batch) {
	for _, t := range b.freed {
		if t.seq >= 0 {
			s.free = append(s.free, t.seq)
			slices.Sort(s.free) // a stage computes sequences together whose numbers are consecutive
		}
		s.keep(t, 0)
		if !t.ghost {
			t.queue = backlog.New(s.bundle.Stage.Width())
			t.weigh()
			s.mem.fixed.Add(-s.fixed())
		}
		s.tails = slices.DeleteFunc(s.tails, func(o *tail) bool { return o == t })
	}
}

// lane returns the share of a device, made on first use; mu is held.
func (s *scheduler) lane(a *account) *lane {
	l := s.lanes[a]
	if l == nil {
		l = &lane{account: a}
		s.lanes[a] = l
	}
	return l
}

// fixed is what a session takes by being open: the row of logits it keeps, and
// the frame of its uplink, which may decode to four times its size.
func (s *scheduler) fixed() int64 {
	return 4*int64(s.bundle.Stage.Vocab()) + 5*maxUplinkBody
}

// spend charges n rows computed for t to who pays for them; mu is held.
func (s *scheduler) spend(t *tail, n int, now time.Time) {
	if t.lane.account.unsure {
		t.unpaid += n
	}
	t.lane.account.spend(n, now)
}
