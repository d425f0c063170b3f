package partition

import (
	"sync/atomic"
	"time"

	"skerry/cloudlink/rank"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// flushTime bounds how long the end of a session waits for its last frames.
const flushTime = 2 * time.Second

// maxUnread is what a board may leave unread, in bytes, before its session ends:
// answers are made by the scheduler, which waits for nobody. What all boards
// may leave is less than so much for each.
const maxUnread = 8 << 20

// session is one open session of a connection.
type session struct {
	conn         *connection
	key          sessionKey
	account      *account
	epoch        uint64
	stream       transport.Stream
	out          *wire.Outbox
	sched        *scheduler
	tail         *tail
	terms        terms
	done         chan struct{}     // closed when it has left its context
	closed       bool              // by the board, which wants nothing kept
	largeAnswers chan *largeAnswer // answers to be made, closed once it has left its context
	slow         atomic.Bool       // ended for leaving too much unread
	leading      leading           // answers that the cloud leads, of the reader

	// guarded by sched.mu
	bytes   uint64                  // of uplink frames
	arrived time.Time               // of the newest
	reading transport.ReceiveStream // the uplink of the current branch
}

// serveSession runs a session stream from its Open to its end.
func (c *connection) serveSession(stream transport.Stream, r *wire.Reader, open *wire.Open, settled func()) {
	s, early, refused := c.open(stream, open)
	c.decide(open.Session, s)
	if refused == errGone {
		return
	}
	if refused != nil {
		c.srv.count.refused.Add(1)
		c.account.refused.Add(1)
		e := *refused // others may be refused with it too
		e.Ref = open.Ref
		c.reject(stream, &e)
		return
	}
	settled()
	r.Limit(maxAskBody)
	c.log().Info("session open", "session", s.key.id, "epoch", s.epoch, "context", s.tail.limit)
	c.srv.mem.join(s)
	written := make(chan struct{})
	c.wg.Go(func() {
		defer close(written)
		s.write()
	})
	if early {
		c.wg.Go(s.confirm)
	}
	finished := make(chan struct{})
	c.wg.Go(func() {
		defer close(finished)
		s.makeLargeAnswers()
	})
	cause := s.read(r)
	s.endLead()
	s.sched.leave(s.tail, cause == nil && !s.closed, s.closed)
	close(s.done)
	c.srv.forget(s)
	c.leave(s)
	close(s.largeAnswers)
	<-finished
	s.out.Close(cause)
	late := time.AfterFunc(flushTime, func() { stream.CancelWrite(transport.CodeShutdown) })
	<-written
	late.Stop()
	stream.CancelRead(transport.CodeNone)
	c.log().Info("session closed", "session", s.key.id)
}

// open admits a session or says why not. Before the handshake is confirmed
// (early) it is nobody else's loss: it is not the session of its key yet.
func (c *connection) open(stream transport.Stream, open *wire.Open) (opened *session, early bool, refused *wire.Error) {
	if refused := c.srv.refuseDraining(); refused != nil {
		return nil, false, refused
	}
	if refused := c.mayOpen(open.Tokens); refused != nil {
		return nil, false, refused
	}
	agreed, refused := c.negotiate(open)
	if refused != nil {
		return nil, false, refused
	}
	early, refused = c.permit(open.Epoch)
	if refused != nil {
		return nil, false, refused
	}
	s := &session{
		conn: c, key: sessionKey{c.device, open.Session}, account: c.account, epoch: open.Epoch, stream: stream,
		out: wire.NewOutbox(c.srv.mem.maxOutbox()), sched: agreed.sched, terms: agreed, done: make(chan struct{}), largeAnswers: make(chan *largeAnswer, maxAsks),
	}
	if early {
		if s.admit(open, true) == nil {
			return s, true, nil
		}
		// No room beside whoever has the session now.
		if refused := c.settle(); refused != nil {
			return nil, false, refused
		}
	}
	if refused := c.srv.claim(s); refused != nil {
		return nil, false, refused
	}
	if refused := s.admit(open, false); refused != nil {
		c.srv.forget(s)
		close(s.done)
		return nil, false, refused
	}
	return s, false, nil
}

// admit gives the session its place in the stage.
func (s *session) admit(open *wire.Open, early bool) *wire.Error {
	t, refused := s.sched.attach(s.conn.provisional(), s, open, early)
	if refused != nil {
		return refused
	}
	s.tail = t
	s.conn.srv.count.opened.Add(1)
	return nil
}

// confirm makes an early session the session of its key once the handshake is
// confirmed, or ends it.
func (s *session) confirm() {
	refused := s.conn.settle()
	if refused == errGone {
		return // read ends too
	}
	if refused == nil {
		refused = s.conn.srv.claim(s)
	}
	if refused == nil {
		refused = s.sched.confirm(s.tail, s.account)
	}
	if refused != nil {
		e := *refused // others may be ended with it too
		s.fail(&e)
		return
	}
	select {
	case <-s.done: // it ended meanwhile
		s.conn.srv.forget(s)
	default:
	}
}

// read handles asks until the session ends, and returns the error to end it
// with, if it is the board's fault.
func (s *session) read(r *wire.Reader) wire.Message {
	for {
		m, err := nextFrame(s.stream, r)
		if err != nil && !isPeerFault(err) {
			return nil
		}
		s.conn.waitTurn()
		switch m := m.(type) {
		case *wire.Ask:
			mask := rank.NewIDSet(m.Mask, s.sched.bundle.Stage.Vocab())
			m.Mask = nil
			s.take(m, func(now time.Time) { s.tail.ask(m, mask, now) })
			continue
		case *wire.Generate:
			if s.sched.whole() {
				s.take(&wire.Ask{Ref: m.Ref, Serial: m.Serial}, func(now time.Time) { s.tail.generate(m, now) })
				continue
			}
		case *wire.Lead:
			if s.sched.whole() && s.terms.protocol >= wire.ProtocolLead {
				s.lead(m)
				continue
			}
		case *wire.Taken:
			s.takenBy(m)
			continue
		case *wire.Close:
			s.closed = true
			return nil
		}
		s.conn.srv.count.badFrames.Add(1)
		return s.fatal(&wire.Error{Code: wire.CodeProtocol, Text: badFrame(m, err)})
	}
}

// take hands an ask to the context with f.
func (s *session) take(a *wire.Ask, f func(now time.Time)) {
	if a.Session != s.key.id || a.Epoch != s.epoch {
		s.conn.noteForeign("ask", a.Session, a.Epoch)
		s.reply(refusal(a, wire.CodeStale, "an ask of another session or epoch"))
		return
	}
	s.sched.mu.Lock()
	if s.tail.user == s {
		f(s.sched.clock())
	}
	s.sched.mu.Unlock()
	s.sched.wake()
}

// write owns the sending half of the stream.
func (s *session) write() {
	defer s.conn.srv.mem.leave(s)
	for {
		b := s.out.Take()
		if b == nil {
			s.stream.Close()
			return
		}
		if writeAll(s.stream, b) != nil {
			s.out.Abort()
			s.stream.CancelRead(transport.CodeShutdown) // ends read
			return
		}
		s.out.Sent()
		s.conn.srv.mem.output(s)
	}
}

// reply queues m for the board; it never waits.
func (s *session) reply(m wire.Message) { s.put(m) }

// fatal completes an error that ends the session.
func (s *session) fatal(e *wire.Error) *wire.Error {
	e.Fatal = true
	e.Session, e.Epoch = s.key.id, s.epoch
	s.conn.log().Warn("session ends", "session", s.key.id, "code", e.Code, "text", e.Text)
	return e
}

// fail ends the session from elsewhere; it never waits.
func (s *session) fail(e *wire.Error) {
	s.out.Close(s.fatal(e))
	s.stream.CancelRead(transport.CodeRefused)
}

// receipt says how far the session's hidden states have arrived.
func (s *session) receipt() *wire.Receipt {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	queue := s.sched.predictWait(s.tail.device, s.tail, 1, s.sched.clock())
	return &wire.Receipt{
		Ref: wire.Ref{
			Session: s.key.id, Epoch: s.epoch,
			Branch: s.tail.branch, Position: uint64(s.tail.queue.End()),
		},
		Bytes: s.bytes, Time: uint64(max(s.arrived.UnixMicro(), 0)), Queue: uint64(queue.Microseconds()),
	}
}
