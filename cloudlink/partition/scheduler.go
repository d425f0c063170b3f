package partition

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/wire"
)

// scheduler owns one stage: run is the only caller of it, everyone else leaves
// work in tails and wakes run.
type scheduler struct {
	bundle Bundle
	clock  func() time.Time
	queued int
	log    *slog.Logger
	work   chan struct{} // holds one token when there may be something to do

	mu       sync.Mutex // guards all following
	changed  *sync.Cond // a sequence was freed, a backlog shrank, a tail closed
	free     []int
	reserved int // positions granted
	tails    []*tail
	turn     int // who is served first when not everyone can be
	stats    stageStats
}

type stageStats struct {
	forwards, rows, answers uint64
	compute                 time.Duration
}

func newScheduler(b Bundle, conf Config) *scheduler {
	s := &scheduler{
		bundle: b, clock: conf.Clock, queued: conf.MaxQueued, log: conf.Log,
		work: make(chan struct{}, 1),
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

// admit gives a session a sequence and a share of the stage's positions, wanted
// or, for 0, an equal share. Sequences of sessions that are ending are waited
// for.
func (s *scheduler) admit(wanted int) (*tail, *wire.Error) {
	stage := s.bundle.Stage
	if wanted == 0 {
		wanted = max(stage.Context()/stage.Sequences(), 1)
	}
	if wanted > stage.Context() {
		return nil, &wire.Error{Code: wire.CodeContextFull, Text: fmt.Sprintf(
			"a context of %d positions is longer than the %d of this cloud", wanted, stage.Context())}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(s.free) > 0 && s.reserved+wanted <= stage.Context() {
			break
		}
		if !slices.ContainsFunc(s.tails, func(t *tail) bool { return t.closed }) {
			return nil, &wire.Error{Code: wire.CodeBusy, RetryAfter: 1000, Text: fmt.Sprintf(
				"%d sessions hold %d of %d positions", len(s.tails), s.reserved, stage.Context())}
		}
		s.changed.Wait()
	}
	t := newTail(s.free[0], wanted, s.queued, stage.Width())
	s.free = s.free[1:]
	s.reserved += wanted
	s.tails = append(s.tails, t)
	return t, nil
}

// release lets run free the sequence of t.
func (s *scheduler) release(t *tail) {
	s.mu.Lock()
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
		s.plan(batch)
		s.mu.Unlock()
		if batch.empty() {
			select {
			case <-ctx.Done():
				return
			case <-s.work:
			}
			continue
		}
		start := s.clock()
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
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// deliver hands out the rows of a forward pass; mu is held.
func (s *scheduler) deliver(b *batch, answers []logits, now time.Time, took time.Duration) {
	if len(b.rows) == 0 {
		return
	}
	s.stats.forwards++
	s.stats.rows += uint64(len(b.rows))
	s.stats.compute += took
	for _, j := range b.jobs {
		j.tail.charge(j.branch, j.n, took)
		for _, pos := range j.wanted {
			s.stats.answers += uint64(j.tail.deliver(j.branch, pos, answers[0], now))
			answers = answers[1:]
		}
	}
}

// fail ends the sessions of a batch that the stage could not compute: what it
// holds of them is not known; mu is held.
func (s *scheduler) fail(b *batch, err error) {
	s.log.Error("tail stage failed", "bundle", s.bundle.Name, "rows", len(b.rows), "err", err)
	for _, j := range b.jobs {
		if !j.tail.closed && !j.tail.failed {
			j.tail.failed = true
			j.tail.fail(&wire.Error{Code: wire.CodeInternal, Text: "the tail stage failed"})
		}
	}
}

// sweep frees the sequences that the batch emptied; mu is held.
func (s *scheduler) sweep(b *batch) {
	for _, t := range b.freed {
		s.free = append(s.free, t.seq)
		s.reserved -= t.limit
		s.tails = slices.DeleteFunc(s.tails, func(o *tail) bool { return o == t })
	}
}
