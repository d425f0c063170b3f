package session

import (
	"fmt"
	"time"

	"skerry/cloudlink/internal/liveness"
	"skerry/cloudlink/wire"
)

// Session is the session that is attached.
func (a *Attachment) Session() *Session { return a.s }

// Ended reports whether the session is no longer attached.
func (a *Attachment) Ended() bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.s.at != a
}

// ID is that of the session.
func (a *Attachment) ID() wire.SessionID { return a.s.opt.ID }

// Receipt notes the rows the cloud has. An error is a breach of the protocol.
func (a *Attachment) Receipt(m *wire.Receipt) error {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a {
		return nil
	}
	if err := s.checkReceipt(m); err != nil {
		return err
	}
	more := m.Bytes - min(s.stats.CloudBytes, m.Bytes)
	s.stats.CloudTime = time.Duration(m.Time) * time.Microsecond
	s.stats.CloudBytes = m.Bytes
	s.stats.CloudQueue = time.Duration(m.Queue) * time.Microsecond
	s.received(m.Branch, int(m.Position))
	s.judgeReceipt(more)
	return nil
}

// Lose ends the attachment because of err: the session with it unless that is durable.
func (a *Attachment) Lose(err error) { a.s.lose(a, err) }

// FailAsks ends what waits with err; the session stays attached.
func (a *Attachment) FailAsks(err error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == a {
		s.leaveSaid()
		s.fail(fmt.Errorf("session %s: %w", s.opt.ID, err))
	}
}

// Owed returns how many asks wait, and whether rows are not confirmed.
func (a *Attachment) Owed() (asks int, rows bool) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a {
		return 0, false
	}
	return len(s.waiting), s.lineage.confirmed < s.given()
}

// Forgive takes a time in which this machine did not run out of every wait.
func (a *Attachment) Forgive(d time.Duration) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = s.moved.Add(d)
	for _, p := range s.waiting {
		if !p.since.IsZero() {
			p.since = p.since.Add(d)
		}
	}
}

// Unconfirmed returns since when rows wait for a receipt without any coming, the
// zero time where none waits.
func (a *Attachment) Unconfirmed() (since time.Time) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a || s.wants >= 0 || s.lineage.confirmed >= s.given() {
		return since
	}
	return s.moved
}

// Overdue returns for how long an ask has waited beyond what limit allows for it,
// 0 for none. frame is how long a frame of so many bytes should take to arrive.
func (a *Attachment) Overdue(now time.Time, limit func(rows int, queue time.Duration) time.Duration, frame func(bytes int) time.Duration) time.Duration {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a || s.wants >= 0 {
		return 0
	}
	for _, p := range s.waiting {
		waited := now.Sub(p.since)
		if p.windowFull() || p.since.IsZero() || waited < liveness.LeastWait {
			continue
		}
		most := limit(max(p.pos+1-s.computed, 1), s.stats.CloudQueue)
		if rows := s.rows.end() - s.lineage.confirmed; s.lineage.confirmed <= p.pos && rows > 0 {
			most += liveness.Factor * frame(min(rows*s.rowBytes(), max(frameRows, s.rowBytes())))
		}
		if waited >= most {
			return waited
		}
	}
	return 0
}

// ready notes since when the cloud has all it needs for an ask; mu is held.
func (s *Session) ready() {
	for _, p := range s.waiting {
		if p.since.IsZero() && p.pos < s.rows.end() {
			p.since = time.Now()
		}
	}
}

// gotOn notes that the cloud got on with the asks from position from on; mu is
// held.
func (s *Session) gotOn(from int) {
	s.moved = time.Now()
	for _, p := range s.waiting {
		if !p.since.IsZero() && p.pos >= from {
			p.since = s.moved
		}
	}
}
