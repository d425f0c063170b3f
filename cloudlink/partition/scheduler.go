package partition

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/hidden"
	"skerry/cloudlink/partition/sched"
	"skerry/cloudlink/wire"
)

// scheduler owns one stage: run is the only caller of it, everyone else leaves
// work in tails and wakes run.
type scheduler struct {
	bundle       Bundle
	conf         Config
	mem          *memory
	clock        func() time.Time
	log          *slog.Logger
	positionCost int64         // bytes of a position in the stage, 0 for not counted
	portable     portable      // the stage, nil where its contexts cannot be taken out
	stateCost    int64         // bytes of a position in a file, about
	work         chan struct{} // holds one token when there may be something to do

	mu       sync.Mutex // guards all following
	changed  *sync.Cond // a sequence was freed, a backlog shrank, a tail closed
	free     []int
	tails    []*tail
	flows    map[*account]*deviceFlow
	queue    sched.Queue[*tail] // shares the stage among devices
	pace     sched.Pace         // of forward passes
	passEnds time.Time          // when the pass that runs should be over
	stats    stageStats
	writing  bool // a context is being written down

	writers sync.WaitGroup
}

type stageStats struct {
	forwards, rows, answers uint64
	evicted, expired        uint64
	saved, restored         uint64
	compute                 time.Duration
}

func newScheduler(b Bundle, conf Config, mem *memory) *scheduler {
	s := &scheduler{
		bundle: b, conf: conf, mem: mem, clock: conf.Clock, log: conf.Log,
		work: make(chan struct{}, 1), flows: map[*account]*deviceFlow{}, positionCost: positionBytes(b.Stage),
	}
	s.changed = sync.NewCond(&s.mu)
	s.portable = portableStage(b.Stage)
	_, kv := stageBytes(b.Stage)
	s.stateCost = max(s.positionCost, kv/int64(b.Stage.Sequences()*b.Stage.Context()))
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
	l := s.flowOf(a)
	if refused := s.refuseSession(l, s.clock()); refused != nil {
		return nil, refused
	}
	for {
		if len(s.free) > 0 && s.mem.reserve(s.sessionBytes()) {
			break
		}
		if !s.freeing() && !s.evictFor(nil, s.clock()) {
			return nil, &wire.Error{Code: wire.CodeBusy, RetryAfter: s.retryAfter(s.clock()), Text: fmt.Sprintf(
				"%d sessions in use take all the room there is for them", len(s.tails))}
		}
		s.changed.Wait()
	}
	t := newTail(s.free[0], wanted, s.conf.MaxQueued, stage.Width())
	t.sched, t.mem, t.device = s, s.mem, l
	a.sessions.Add(1)
	s.free = s.free[1:]
	s.tails = append(s.tails, t)
	return t, nil
}

// release lets run free the sequence of t.
func (s *scheduler) release(t *tail) {
	s.mu.Lock()
	if !t.closed && !t.detached {
		t.device.account.sessions.Add(-1)
	}
	t.closed = true
	t.asks = nil
	t.accountAsks()
	s.changed.Broadcast()
	s.mu.Unlock()
	s.wake()
}

// run computes until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	defer s.writers.Wait()
	batch := newBatch(s.bundle.Stage)
	for {
		s.mu.Lock()
		s.spill()
		s.restoreKept()
		start := s.clock()
		later := s.plan(batch, start)
		s.passEnds = start.Add(s.pace.Pass(batch.rows.Len()))
		s.mu.Unlock()
		if batch.empty() {
			if saved, again := s.saveIdle(); saved {
				continue
			} else if later.IsZero() || !again.IsZero() && again.Before(later) {
				later = again
			}
			if !s.waitForWork(ctx, later) {
				return
			}
			continue
		}
		rows, err := batch.forward(s.bundle.Stage)
		now := s.clock()
		answers := batch.reduce(rows, s.bundle.Stage.Vocab())
		s.mu.Lock()
		batch.landed()
		if err != nil {
			s.fail(batch, err)
		} else {
			s.deliver(batch, answers, now, now.Sub(start))
		}
		s.freeSequences(batch)
		s.passEnds = time.Time{}
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// waitForWork waits until there may be something to do, later at the latest unless
// that is zero, and returns false once ctx ends.
func (s *scheduler) waitForWork(ctx context.Context, later time.Time) bool {
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
func (s *scheduler) deliver(b *batch, answers []row, now time.Time, took time.Duration) {
	if b.rows.Len() == 0 {
		return
	}
	s.stats.forwards++
	s.stats.rows += uint64(b.rows.Len())
	s.stats.compute += took
	s.pace.Add(b.rows.Len(), took)
	for _, j := range b.jobs {
		if j.tail.seq != j.seq || j.tail.cuts != j.cuts { // evicted, or taken back
			answers = answers[len(j.wanted):]
			continue
		}
		j.tail.charge(j.branch, j.n, took)
		for _, w := range j.wanted {
			n := uint64(j.tail.deliver(j.branch, w.pos, answers[0], now))
			s.stats.answers += n
			j.tail.device.account.answers.Add(n)
			answers = answers[1:]
		}
	}
}

// fail ends the sessions of a batch that the stage could not compute: what it
// holds of them is not known; mu is held.
func (s *scheduler) fail(b *batch, err error) {
	s.log.Error("tail stage failed", "bundle", s.bundle.Name, "rows", b.rows.Len(), "err", err)
	for _, j := range b.jobs {
		if !j.tail.closed && !j.tail.failed && j.tail.seq == j.seq {
			j.tail.failed = true
			j.tail.fail(&wire.Error{Code: wire.CodeInternal, Text: "the tail stage failed"})
		}
	}
}

// freeSequences frees the sequences that the batch emptied; mu is held.
func (s *scheduler) freeSequences(b *batch) {
	for _, t := range b.freed {
		if t.seq >= 0 {
			s.free = append(s.free, t.seq)
			slices.Sort(s.free) // a stage computes sequences together whose numbers are consecutive
		}
		s.setHeld(t, 0)
		if !t.placeholder {
			t.queue, t.text = hidden.New(s.bundle.Stage.Width()), nil
			t.accountQueue()
			s.mem.fixed.Add(-s.sessionBytes())
		}
		s.tails = slices.DeleteFunc(s.tails, func(o *tail) bool { return o == t })
	}
}

// deviceFlow is a device's share of the stage.
type deviceFlow struct {
	sched.Device[*tail]
	account *account
}

// flowOf returns the share of a device, made on first use; mu is held.
func (s *scheduler) flowOf(a *account) *deviceFlow {
	l := s.flows[a]
	if l == nil {
		l = &deviceFlow{account: a}
		s.flows[a] = l
	}
	return l
}

// sessionBytes is what a session takes by being open: the row of logits and the candidates
// it keeps, and the frame of its uplink, which may decode to four times its size.
func (s *scheduler) sessionBytes() int64 {
	return 4*int64(s.bundle.Stage.Vocab()) + 8*maxKept + 5*maxUplinkBody
}

// spend charges n rows computed for t to who pays for them; mu is held.
func (s *scheduler) spend(t *tail, n int, now time.Time) {
	if t.device.account.unconfirmed {
		t.uncharged += n
	}
	t.device.account.spend(n, now)
}
