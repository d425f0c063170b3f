package partition

import (
	"time"

	"skerry/cloudlink/hidden"
	"skerry/cloudlink/wire"
)

// contextState says whose a tail is and what of it stands. A context of a board that
// can send its rows again outlives the connection: the tail is detached, kept
// by its key, and attached to the next session of that key.
type contextState struct {
	key         sessionKey
	user        *session // nil while it is detached
	resends     bool     // the board can send any row again
	detached    bool
	untouched   bool      // no uplink has come since it was attached
	lastUsed    time.Time // last attached, detached, asked or fed
	held        int       // positions in the stage
	evicted     bool      // it was emptied for want of room, its board not told yet
	missing     bool      // rows are dropped until an uplink fits
	toldMissing bool      // the board knows that, for the current branch
	placeholder bool      // stands in the list for an evicted sequence that is yet to be freed

	saved     savedContext // in a file
	saving    bool         // a file is being written
	savingPos int          // positions that will stand of it
	spill     bool         // it gives way, and is written down before
	dropped   bool         // nothing of it is to be kept
	restore   *KeptContext // what the stage is given before it computes more
}

// attach gives session n its context, the one that was kept or a new one, and
// says so to the board. Before the handshake is confirmed (early) it takes a
// kept one only as it stands, and is refused while another session has it and
// the board expects something of it.
//
// What comes early may be a replay, but only of a flight whose epoch the board
// never had confirmed. That is for the context as if the flight had come late:
// its rows are those of its branch, and a branch taken late is one the board
// reckons with.
func (s *scheduler) attach(a *account, n *session, open *wire.Open, early bool) (*tail, *wire.Error) {
	if t, refused := s.reattach(a, n, open, early); t != nil || refused != nil {
		return t, refused
	}
	if early && s.onFile(n, open) {
		// Whoever only repeats what was overheard has nothing read from the disk.
		return nil, &wire.Error{Code: wire.CodeStale, Text: "the session is kept in a file, for a connection that is confirmed"}
	}
	kept := s.kept(n, open)
	t, refused := s.admit(a, int(open.Context))
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standOn(t, kept)
	t.use(n, open, s.clock())
	return t, nil
}

// reattach finds the context of n that was kept.
func (s *scheduler) reattach(a *account, n *session, open *wire.Open, early bool) (*tail, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails {
		if t.key != n.key || t.closed || t.failed {
			continue
		}
		switch {
		case early && t.detached && !(open.Resends && t.resumable(open)):
			return nil, nil // left as it is, beside a new one
		case early && !t.detached && open.Position > 0:
			return nil, &wire.Error{Code: wire.CodeStale, Text: "another connection has the session"}
		case !t.detached:
			continue
		case !open.Resends: // an older program of that board
			s.evict(t)
			return nil, nil
		}
		if refused := s.refuseSession(s.flowOf(a), s.clock()); refused != nil {
			return nil, refused
		}
		a.sessions.Add(1)
		s.charge(t, a)
		t.use(n, open, s.clock())
		return t, nil
	}
	return nil, nil
}

// charge makes a the account that t's rows count for. mu is held.
func (s *scheduler) charge(t *tail, a *account) {
	old := t.device.account
	old.queued.Add(-t.queueBytes)
	t.mem.holdAsks(old, -t.askBytes, -t.waiting)
	t.device = s.flowOf(a)
	a.queued.Add(t.queueBytes)
	t.mem.holdAsks(a, t.askBytes, t.waiting)
}

// use makes n the user of t. What the board is told of the context is what its first
// uplink will find, as nobody else changes it from now on.
func (t *tail) use(n *session, open *wire.Open, now time.Time) {
	t.key, t.user, t.resends = n.key, n, open.Resends
	t.reply, t.fail, t.queueLarge = n.reply, n.fail, n.queueLarge
	t.detached, t.untouched, t.toldMissing, t.lastUsed = false, true, false, now
	opened := &wire.Opened{
		Ref:      wire.Ref{Session: n.key.id, Epoch: n.epoch, Branch: open.Branch},
		Encoding: n.terms.encoding, Context: uint64(t.limit),
	}
	if n.terms.protocol > 1 {
		opened.Protocol = n.terms.protocol
		branch, end := t.standing(open)
		opened.Branch, opened.Position = branch, uint64(end)
	}
	n.reply(opened)
}

// standing returns what of the context stands for a board that opens it, as Opened
// says it.
func (t *tail) standing(open *wire.Open) (branch uint32, end int) {
	if !t.resumable(open) {
		return 0, 0
	}
	return t.branch, t.queue.End()
}

// resumable reports whether anything of t stands for a board that opens it.
func (t *tail) resumable(open *wire.Open) bool {
	return t.started && !t.missing && open.Branch > t.branch && open.Since <= t.branch
}

// outdated reports whether nothing of t stands for a board that sends a branch:
// the board knows less than was taken, or t has not taken what the board relies
// on.
func (t *tail) outdated(branch, since uint32) bool {
	return t.started && (t.untouched && branch <= t.branch || since > t.branch)
}

// leave ends the use of t by its session: the context is kept if its board may
// come back for it, and else released. With closed its board wants nothing kept.
func (s *scheduler) leave(t *tail, keep, closed bool) {
	s.mu.Lock()
	if closed {
		s.drop(t)
	}
	if !keep || !t.resends || t.failed || t.closed || t.seq < 0 || t.queue.End() == 0 {
		s.mu.Unlock()
		s.release(t)
		return
	}
	t.device.account.sessions.Add(-1)
	if t.device.account.unconfirmed { // never confirmed: nobody pays
		s.charge(t, t.user.account)
		t.uncharged = 0
	}
	t.detached, t.lastUsed = true, s.clock()
	t.asks, t.user = nil, nil
	t.accountAsks()
	t.reply, t.fail, t.queueLarge = func(wire.Message) {}, func(*wire.Error) {}, nil
	s.mem.checkPressure()
	s.changed.Broadcast()
	s.mu.Unlock()
	s.wake()
}

// forget drops all rows of t, those in the stage before it computes more.
func (t *tail) forget() {
	if t.held > 0 {
		t.cut = 0
	}
	t.queue = hidden.New(t.sched.bundle.Stage.Width())
	t.accountQueue()
	t.text = nil
	t.kept, t.underWay, t.started, t.missing = keptRows{}, nil, false, false
}

// markMissing notes that rows of the current branch are missing. The board is told
// when somebody waits for them, or when it could not expect it.
func (t *tail) markMissing() {
	t.missing = true
	waits := false
	for _, a := range t.asks {
		waits = waits || a.Branch == t.branch
	}
	if waits || !t.evicted {
		t.sendFrom(t.branch, t.queue.End())
	}
}

// sendFrom asks the board for its rows from position pos on, once a branch.
func (t *tail) sendFrom(branch uint32, pos int) {
	if t.toldMissing || t.user == nil {
		return
	}
	t.toldMissing = true
	t.reply(&wire.Error{
		Ref:  wire.Ref{Session: t.key.id, Epoch: t.user.epoch, Branch: branch, Position: uint64(pos)},
		Code: wire.CodeSendFrom, Text: "hidden states are missing",
	})
}
