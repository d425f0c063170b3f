package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"skerry/cloudlink/wire"
)

// This file is about contexts that outlive the process. What a stage has computed of one is
// written to a file while nothing waits for the stage, when the context gives way to another
// and when the server ends. A board that opens its session again finds it as it would find a
// context that was detached: the number of its branch says how much of it stands.
//
// A branch of a session has one uplink, so that session and branch name one run of rows: a
// file of another time is of a branch that the board has left, and no more than a miss. A
// board rolls back often, and a file is large; what a later branch leaves of a file is
// therefore noted beside it.

// Keeper keeps contexts in files. Its methods may be called from any goroutine.
type Keeper interface {
	// Save keeps a context in place of what was kept of it.
	Save(*KeptContext) error
	// Note says that of a kept context the first pos positions stand on branch. A branch
	// below one that was noted or saved says nothing.
	Note(id ContextID, branch uint32, pos int)
	// Has reports whether something is kept of a context, and Load returns it, nil for
	// nothing that can be read.
	Has(ContextID) bool
	Load(ContextID) *KeptContext
	// Forget deletes what is kept of a context, ForgetDevice of all contexts of a device.
	Forget(ContextID)
	ForgetDevice(device string)
	// Expire deletes what nobody has come back for in so long, but for contexts that are
	// live.
	Expire(unused time.Duration, live []ContextID)
	// Most is how many bytes of a context are worth a file.
	Most() int64
}

// ContextID names a context of a stage.
type ContextID struct {
	Bundle  wire.Hash
	Whole   bool // of the whole model, fed with token ids
	Device  string
	Session wire.SessionID
}

// KeptContext is a context as it is kept: the first Positions rows of a branch as the stage
// encodes them. State may be of more.
type KeptContext struct {
	ContextID
	Branch    uint32
	Positions int
	State     []byte
}

// portable is a stage whose sequences can be taken out and put back; it is called by the
// goroutine that owns the stage.
type portable interface {
	ExportPrefix(seq, pos int) ([]byte, error)
	Import(seq int, state []byte) error
}

func portableStage(s any) portable {
	if w, ok := s.(whole); ok {
		s = w.WholeStage
	}
	p, _ := s.(portable)
	return p
}

const (
	// leastKept is from how many positions on a context is worth a file.
	leastKept = 128
	// saveEvery is the least time between two files of one context.
	saveEvery = 5 * time.Second
	// saveGrace bounds what a server takes to write contexts down when it ends.
	saveGrace = 5 * time.Second
)

// savedContext is what a file holds of a tail.
type savedContext struct {
	pos int       // positions that stand, 0 for no file
	at  time.Time // when it was taken
}

func (s *scheduler) idOf(key sessionKey) ContextID {
	return ContextID{Bundle: s.bundle.ID, Whole: s.whole(), Device: key.device, Session: key.id}
}

// keeps reports whether contexts of the stage are kept in files.
func (s *scheduler) keeps() bool { return s.conf.Keeper != nil && s.portable != nil }

// unsaved reports whether t holds so much that no file does that it is worth one. While an answer
// is led there may be drafts in it, which are taken back on the same branch. mu is held.
func (s *scheduler) unsaved(t *tail) bool {
	if !s.keeps() || t.placeholder || t.failed || t.missing || !t.resends || !t.started || t.seq < 0 || t.cut >= 0 ||
		t.restore != nil || t.saving || t.led != nil || t.device.account.unconfirmed {
		return false
	}
	pos := t.queue.Base()
	worth := max(t.saved.pos/4, leastKept/2)
	if t.detached || t.closed {
		worth = 16
	}
	return pos >= leastKept && pos-t.saved.pos >= worth && int64(pos)*s.stateCost <= s.conf.Keeper.Most()
}

// saveIdle writes down one context where that is due and nothing else is being written. It
// returns whether it did, and otherwise when to look again, zero for not before there is more
// to do. mu is not held; only run calls it.
func (s *scheduler) saveIdle() (saved bool, later time.Time) {
	s.mu.Lock()
	now := s.clock()
	var due *tail
	for _, t := range s.tails {
		if t.closed || !s.unsaved(t) {
			continue
		}
		if at := t.saved.at.Add(saveEvery); !t.saved.at.IsZero() && at.After(now) {
			if later.IsZero() || at.Before(later) {
				later = at
			}
			continue
		}
		if due == nil || t.lastUsed.Before(due.lastUsed) {
			due = t
		}
	}
	if due == nil || s.writing {
		s.mu.Unlock()
		return false, later // the end of the write wakes run
	}
	return s.save(due, now), later
}

// save takes t out of the stage and has it written down. It is called by run with mu held,
// and lets go of it.
func (s *scheduler) save(t *tail, now time.Time) bool {
	k := &KeptContext{ContextID: s.idOf(t.key), Branch: t.branch, Positions: t.queue.Base()}
	seq := t.seq
	t.saving, t.savingPos, t.dropped, s.writing = true, k.Positions, false, true
	t.saved.at = now
	s.mu.Unlock()
	state, err := s.portable.ExportPrefix(seq, k.Positions)
	if err != nil {
		s.saved(t, k, fmt.Errorf("taking it out of the stage: %w", err))
		return true
	}
	k.State = state
	s.writers.Go(func() { s.saved(t, k, s.conf.Keeper.Save(k)) })
	return true
}

// saved notes how the writing of a context ended, and what its board has left of it
// meanwhile.
func (s *scheduler) saved(t *tail, k *KeptContext, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.saving, s.writing = false, false
	if err != nil {
		t.saved.pos = 0
		s.log.Warn("a context could not be written down: its board sends it again after a restart", "bundle", s.bundle.Name, "session", k.Session, "err", err)
	} else {
		s.stats.saved++
		t.saved.pos = t.savingPos
		switch {
		case t.dropped || t.saved.pos == 0: // its board or the operator wants nothing of it kept
			t.saved.pos = 0
			s.conf.Keeper.Forget(k.ContextID)
		case t.branch != k.Branch:
			s.conf.Keeper.Note(k.ContextID, t.branch, t.saved.pos)
		}
	}
	s.wake()
}

// keepOnly notes that a branch leaves the first keep positions of what was written down. It
// returns what tells the keeper, to be called without mu. mu is held.
func (t *tail) keepOnly(keep int) (tell func()) {
	t.savingPos = min(t.savingPos, keep)
	if t.saved.pos == 0 {
		return func() {}
	}
	t.saved.pos = min(t.saved.pos, keep)
	s, id, branch, pos := t.sched, t.sched.idOf(t.key), t.branch, t.saved.pos
	if pos == 0 {
		return func() { s.conf.Keeper.Forget(id) }
	}
	return func() { s.conf.Keeper.Note(id, branch, pos) }
}

// drop has nothing of t be kept in a file. mu is held.
func (s *scheduler) drop(t *tail) {
	if s.keeps() && !t.placeholder {
		t.dropped, t.saved.pos = true, 0
		s.conf.Keeper.Forget(s.idOf(t.key))
	}
}

// kept is what a file holds of the context that n opens, as far as the board says that it
// stands. mu is not held.
func (s *scheduler) kept(n *session, open *wire.Open) *KeptContext {
	if !s.keeps() || !open.Resends {
		return nil
	}
	id := s.idOf(n.key)
	k := s.conf.Keeper.Load(id)
	if k == nil {
		return nil
	}
	if open.Branch <= k.Branch || open.Since > k.Branch || k.Positions < 1 || k.Positions > s.bundle.Stage.Context() {
		s.conf.Keeper.Forget(id)
		return nil
	}
	return k
}

// onFile reports whether a file holds something of the context that n opens.
func (s *scheduler) onFile(n *session, open *wire.Open) bool {
	return s.keeps() && open.Resends && s.conf.Keeper.Has(s.idOf(n.key))
}

// standOn has t, which is new, go on from a kept context. mu is held.
func (s *scheduler) standOn(t *tail, k *KeptContext) {
	if k == nil || k.Positions > t.limit {
		return
	}
	t.branch, t.started, t.restore = k.Branch, true, k
	t.queue.Begin(k.Positions)
	t.saved = savedContext{pos: k.Positions, at: s.clock()}
	s.setHeld(t, k.Positions)
	s.wake()
}

// restoreKept puts contexts that came back into the stage. Only run calls it; mu is held,
// and not while the stage works.
func (s *scheduler) restoreKept() {
	for {
		i := slices.IndexFunc(s.tails, func(t *tail) bool {
			return t.restore != nil && !t.closed && !t.failed && t.seq >= 0
		})
		if i < 0 {
			return
		}
		t := s.tails[i]
		k, seq := t.restore, t.seq
		s.mu.Unlock()
		start := s.clock()
		err := s.portable.Import(seq, k.State)
		if err == nil {
			err = s.bundle.Stage.Truncate(seq, k.Positions)
		}
		took := s.clock().Sub(start)
		s.mu.Lock()
		if t.restore != k { // it gave way to another meanwhile
			continue
		}
		t.restore = nil
		if err == nil {
			s.stats.restored++
			t.device.account.log.Info("context read from its file", "bundle", s.bundle.Name, "session", t.key.id, "positions", k.Positions, "took", took)
			continue
		}
		t.device.account.log.Warn("a context that was kept is of no use: its board sends it again", "bundle", s.bundle.Name, "session", t.key.id, "err", err)
		s.drop(t)
		t.lose()
	}
}

// lose empties t, whose board reckons with what it held. mu is held.
func (t *tail) lose() {
	t.sched.setHeld(t, 0)
	started := t.started
	t.forget()
	t.cut = 0 // whatever the stage holds of it
	t.started, t.evicted, t.missing, t.toldMissing = started, true, true, false
	if slices.ContainsFunc(t.asks, func(a *ask) bool { return a.Branch == t.branch }) {
		t.sendFrom(t.branch, 0)
	}
}

// spill has a context that gives way written down before its sequence is freed. mu is held
// and only run calls it; it may let go of mu.
func (s *scheduler) spill() {
	for {
		i := slices.IndexFunc(s.tails, func(t *tail) bool { return t.spill })
		if i < 0 {
			return
		}
		t := s.tails[i]
		t.spill = false
		if s.writing || !s.unsaved(t) {
			continue
		}
		s.save(t, s.clock())
		s.mu.Lock()
	}
}

// saveAll writes down what no file holds yet, what was used last first, until ctx ends. The
// stage must not be in use any more.
func (s *scheduler) saveAll(ctx context.Context) error {
	s.writers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	due := slices.DeleteFunc(slices.Clone(s.tails), func(t *tail) bool { return t.closed || !s.unsaved(t) })
	slices.SortFunc(due, func(a, b *tail) int { return cmp.Compare(b.lastUsed.UnixNano(), a.lastUsed.UnixNano()) })
	var failed error
	for i, t := range due {
		if ctx.Err() != nil {
			s.log.Warn("not all contexts could be written down in time: their boards send them again", "bundle", s.bundle.Name, "left", len(due)-i)
			break
		}
		k := &KeptContext{ContextID: s.idOf(t.key), Branch: t.branch, Positions: t.queue.Base()}
		state, err := s.portable.ExportPrefix(t.seq, k.Positions)
		if k.State = state; err == nil {
			err = s.conf.Keeper.Save(k)
		}
		if err == nil {
			s.stats.saved++
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// expireFiles deletes the files of contexts that are not in memory and that nobody has come
// back for.
func (s *Server) expireFiles() {
	if s.conf.Keeper == nil {
		return
	}
	var live []ContextID
	for _, sched := range s.stages() {
		sched.mu.Lock()
		for _, t := range sched.tails {
			if t.user != nil || t.detached && !t.closed {
				live = append(live, sched.idOf(t.key))
			}
		}
		sched.mu.Unlock()
	}
	s.conf.Keeper.Expire(s.conf.IdleContext, live)
}

// saveContexts writes down the contexts of all stages, which have stopped.
func (s *Server) saveContexts() {
	ctx, cancel := context.WithTimeout(context.Background(), saveGrace)
	defer cancel()
	for _, sched := range s.stages() {
		if !sched.keeps() {
			continue
		}
		if err := sched.saveAll(ctx); err != nil {
			s.conf.Log.Warn("contexts could not be written down: their boards send them again", "bundle", sched.bundle.Name, "err", err)
		}
	}
}
