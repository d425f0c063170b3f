package partition

import (
	"slices"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// flushTime bounds how long the end of a session waits for its last frames.
const flushTime = 2 * time.Second

// maxUnread is what a board may leave unread, in bytes, before its session ends:
// answers are made by the scheduler, which waits for nobody.
const maxUnread = 32 << 20

// session is one open session of a connection.
type session struct {
	conn   *connection
	key    sessionKey
	epoch  uint64
	stream cloudlink.Stream
	out    *wire.Outbox
	sched  *scheduler
	tail   *tail
	done   chan struct{} // closed when its sequence is on the way to be freed

	// guarded by sched.mu
	bytes   uint64    // of uplink frames
	arrived time.Time // of the newest
}

// serveSession runs a session stream from its Open to its end.
func (c *connection) serveSession(stream cloudlink.Stream, r *wire.Reader, open *wire.Open) {
	s, refused := c.open(stream, open)
	c.decide(open.Session, s)
	if refused != nil {
		c.srv.count.refused.Add(1)
		refused.Ref = open.Ref
		c.reject(stream, refused)
		return
	}
	c.log.Info("session open", "session", s.key.id, "epoch", s.epoch, "context", s.tail.limit)
	s.out.Put(&wire.Opened{
		Ref:      wire.Ref{Session: s.key.id, Epoch: s.epoch, Branch: open.Branch},
		Encoding: wire.F32, Context: uint64(s.tail.limit),
	})
	written := make(chan struct{})
	c.wg.Go(func() {
		defer close(written)
		s.write()
	})
	cause := s.read(r)
	s.sched.release(s.tail)
	close(s.done)
	c.srv.forget(s)
	c.leave(s)
	s.out.Close(cause)
	late := time.AfterFunc(flushTime, func() { stream.CancelWrite(cloudlink.CodeShutdown) })
	<-written
	late.Stop()
	stream.CancelRead(cloudlink.CodeNone)
	c.log.Info("session closed", "session", s.key.id)
}

// open admits a session or says why not.
func (c *connection) open(stream cloudlink.Stream, open *wire.Open) (*session, *wire.Error) {
	sched, ok := c.srv.schedulers[open.Bundle]
	switch {
	case open.Protocol < wire.ProtocolMin || open.Protocol > wire.Protocol:
		return nil, &wire.Error{Code: wire.CodeProtocol, Text: "a protocol version this cloud does not speak"}
	case !ok:
		return nil, &wire.Error{
			Code: wire.CodeUnknownBundle, Text: "bundle " + open.Bundle.String() + " is not served here",
			Bundles: c.srv.served(),
		}
	case !slices.Contains(open.Encodings, wire.F32):
		return nil, &wire.Error{Code: wire.CodeProtocol, Text: "float32 is the only encoding of this cloud"}
	}
	s := &session{
		conn: c, key: sessionKey{c.device, open.Session}, epoch: open.Epoch, stream: stream,
		out: wire.NewOutbox(maxUnread), sched: sched, done: make(chan struct{}),
	}
	if refused := c.srv.claim(s); refused != nil {
		return nil, refused
	}
	t, refused := sched.admit(int(open.Context))
	if refused != nil {
		c.srv.forget(s)
		close(s.done)
		return nil, refused
	}
	t.reply, t.fail = s.reply, s.fail
	s.tail = t
	c.srv.count.opened.Add(1)
	return s, nil
}

// read handles asks until the session ends, and returns the error to end it
// with, if it is the board's fault.
func (s *session) read(r *wire.Reader) wire.Message {
	for {
		m, err := r.Next()
		if err != nil && !isPeerFault(err) {
			return nil
		}
		ask, ok := m.(*wire.Ask)
		if _, bye := m.(*wire.Close); bye {
			return nil
		}
		if err != nil || !ok {
			s.conn.srv.count.badFrames.Add(1)
			return s.fatal(&wire.Error{Code: wire.CodeProtocol, Text: badFrame(m, err)})
		}
		if ask.Session != s.key.id || ask.Epoch != s.epoch {
			s.reply(refusal(ask, wire.CodeStale, "an ask of another session or epoch"))
			continue
		}
		s.sched.mu.Lock()
		s.tail.ask(ask, s.sched.clock())
		s.sched.mu.Unlock()
		s.sched.wake()
	}
}

// write owns the sending half of the stream.
func (s *session) write() {
	for {
		b := s.out.Take()
		if b == nil {
			s.stream.Close()
			return
		}
		if _, err := s.stream.Write(b); err != nil {
			s.stream.CancelRead(cloudlink.CodeShutdown) // ends read
			return
		}
	}
}

// reply queues m for the board; it never waits.
func (s *session) reply(m wire.Message) {
	if s.out.Put(m) != nil {
		s.out.Close(nil)
		s.stream.CancelWrite(cloudlink.CodeRefused)
		s.stream.CancelRead(cloudlink.CodeRefused)
	}
}

// fatal completes an error that ends the session.
func (s *session) fatal(e *wire.Error) *wire.Error {
	e.Fatal = true
	e.Session, e.Epoch = s.key.id, s.epoch
	s.conn.log.Warn("session ends", "session", s.key.id, "code", e.Code, "text", e.Text)
	return e
}

// fail ends the session from elsewhere; it never waits.
func (s *session) fail(e *wire.Error) {
	s.out.Close(s.fatal(e))
	s.stream.CancelRead(cloudlink.CodeRefused)
}

// receipt says how far the session's hidden states have arrived.
func (s *session) receipt() *wire.Receipt {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	return &wire.Receipt{
		Ref: wire.Ref{
			Session: s.key.id, Epoch: s.epoch,
			Branch: s.tail.branch, Position: uint64(s.tail.queue.End()),
		},
		Bytes: s.bytes, Time: uint64(max(s.arrived.UnixMicro(), 0)),
	}
}
