package partition

import (
	"context"
	"slices"
	"time"

	"skerry/cloudlink/hidden"
	"skerry/cloudlink/wire"
)

// unusedFor is how long an attached context must have gone unused before it may be
// evicted for others.
const unusedFor = 2 * time.Second

// victim returns the context whose eviction costs least: of the detached ones the one
// not used for longest, else of the attached ones that wait for nothing. spare is never
// chosen. mu is held.
func (s *scheduler) victim(spare *tail, now time.Time) *tail {
	var found *tail
	for _, t := range s.tails {
		idle := len(t.asks) == 0 && t.resends && t.seq >= 0 && now.Sub(t.lastUsed) >= unusedFor
		if t == spare || t.closed || t.failed || !t.detached && !idle {
			continue
		}
		if found == nil || t.detached && !found.detached ||
			t.detached == found.detached && t.lastUsed.Before(found.lastUsed) {
			found = t
		}
	}
	return found
}

// evict frees what t holds. An attached session goes on without a context: its
// board is told with its next ask. mu is held.
func (s *scheduler) evict(t *tail) {
	s.stats.evicted++
	t.device.account.log.Info("context evicted", "bundle", s.bundle.Name,
		"session", t.key.id, "positions", t.queue.End(), "attached", !t.detached)
	if t.detached {
		t.closed, t.spill = true, s.unsaved(t)
		s.wake()
		return
	}
	t.restore = nil
	s.tails = append(s.tails, &tail{
		contextState: contextState{placeholder: true, held: t.held}, sched: s, device: t.device, mem: t.mem,
		seq: t.seq, closed: true, queue: hidden.New(s.bundle.Stage.Width()), cut: -1,
	})
	started := t.started
	t.seq, t.held = -1, 0
	t.forget()
	t.cut = -1
	t.started, t.evicted, t.missing, t.toldMissing = started, true, true, false
	s.wake()
}

// assignSequence gives t, which was evicted, a sequence again. It reports false when
// there is none yet. mu is held.
func (s *scheduler) assignSequence(t *tail, now time.Time) bool {
	if t.seq >= 0 {
		return true
	}
	if len(s.free) == 0 {
		s.makeRoom(t, now)
		return false
	}
	t.seq, s.free = s.free[0], s.free[1:]
	return true
}

// makeRoom evicts somebody for t, unless something is being freed already, and
// refuses the asks of t when nobody can be. mu is held.
func (s *scheduler) makeRoom(t *tail, now time.Time) {
	if s.freeing() || s.evictFor(t, now) {
		return
	}
	for _, a := range t.asks {
		e := refusal(a.Ask, wire.CodeBusy, "sessions in use take all the positions there are")
		e.RetryAfter = milliseconds(unusedFor)
		t.refuse(a, e)
	}
	t.device.account.busy.Add(uint64(len(t.asks)))
	t.asks = nil
	t.accountAsks()
}

// evictFor evicts the context that is missed least, other than t, and reports
// whether there was one. mu is held.
func (s *scheduler) evictFor(t *tail, now time.Time) bool {
	v := s.victim(t, now)
	if v == nil {
		return false
	}
	s.evict(v)
	return true
}

// freeing reports whether a sequence is about to be free. mu is held.
func (s *scheduler) freeing() bool {
	return slices.ContainsFunc(s.tails, func(t *tail) bool { return t.closed })
}

// setHeld notes that the stage holds n positions of t. mu is held.
func (s *scheduler) setHeld(t *tail, n int) {
	if s.positionCost > 0 {
		s.mem.kv.Add(int64(n-t.held) * s.positionCost)
		s.mem.checkPressure()
	}
	t.held = n
}

// positions returns how many the stage holds. mu is held.
func (s *scheduler) positions() int {
	n := 0
	for _, t := range s.tails {
		n += t.held
	}
	return n
}

// expire releases the contexts that nobody has come back for, and evicts while
// over reports true. It returns when to look again. mu is not held.
func (s *scheduler) expire(idle time.Duration, over func() bool) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	next = now.Add(idle)
	for _, t := range s.tails {
		if !t.detached || t.closed {
			continue
		}
		if end := t.lastUsed.Add(idle); end.After(now) {
			next = minTime(next, end)
			continue
		}
		t.device.account.log.Info("context expired", "session", t.key.id)
		s.stats.expired++
		s.drop(t)
		t.closed = true
		s.wake()
	}
	if over() && (s.freeing() || s.evictFor(nil, now)) {
		next = now // until what is being freed is free
	}
	return next
}

// over reports whether contexts hold more than they may.
func (m *memory) over() bool {
	st := m.stats()
	return st.Total() > m.budget || st.Queues >= m.budget/2
}

// checkPressure has evictUnused look for what to evict where more is held than may be.
func (m *memory) checkPressure() {
	if m.over() {
		signal(m.pressure)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// evictEvery is the least time between two looks at what is held.
const evictEvery = 100 * time.Millisecond

// evictUnused releases contexts that nobody comes back for, and evicts where memory is
// short, until ctx ends.
func (s *Server) evictUnused(ctx context.Context) {
	for {
		now := s.conf.Clock()
		next := now.Add(s.conf.IdleContext)
		for _, sched := range s.stages() {
			next = minTime(next, sched.expire(s.conf.IdleContext, s.mem.over))
		}
		s.expireFiles()
		wait := time.NewTimer(max(next.Sub(now), evictEvery))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-s.mem.pressure:
			wait.Stop()
		case <-wait.C:
		}
	}
}

// Evict frees the contexts of a device, of all with "", that no ask waits for, deletes
// what files hold of any, and returns how many it freed. Their boards are told with their next ask and send again
// what is wanted.
func (s *Server) Evict(device string) (n int) {
	for _, sched := range s.stages() {
		sched.mu.Lock()
		for _, t := range slices.Clone(sched.tails) {
			idle := len(t.asks) == 0 && t.resends && t.seq >= 0
			if t.closed || t.failed || device != "" && t.key.device != device || !t.detached && !idle {
				continue
			}
			sched.drop(t)
			sched.evict(t)
			t.spill = false
			n++
		}
		sched.mu.Unlock()
	}
	if s.conf.Keeper != nil {
		s.conf.Keeper.ForgetDevice(device)
	}
	return n
}
