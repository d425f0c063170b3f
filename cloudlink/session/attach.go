package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// Connection is what a session needs of the connection that it is attached to. All but
// OpenUniStream may be called with the session locked: they must not block, nor call the
// session.
type Connection interface {
	Epoch() uint64 // the number of the connection
	OpenUniStream(context.Context, transport.Urgency) (transport.SendStream, error)
	// Register has what comes on the connection reach a, and runs its goroutines until
	// they end; whoever closes the connection waits for them. It returns why the
	// connection has ended, or that there is a session of that id already.
	Register(a *Attachment, goroutines ...func()) error
	Forget(a *Attachment) // which has ended
	// Lost returns err as the loss of the connection, with the reason that the connection
	// gives where it has one.
	Lost(err error) error
	Breach(err error) // notes err where it is a breach of the protocol
	Settled()         // an ask or a generation waits no longer
	// Answered says that positions rows took the cloud took.
	Answered(rows int, took time.Duration)
}

// Attachment is a session on one connection, from Open to the end of its stream, as the
// connection sees it. A durable session has one after another. Once it has ended its
// methods do nothing.
type Attachment struct {
	s      *Session
	conn   Connection
	stream transport.Stream
	ctx    context.Context // ends with the attachment
	cancel context.CancelFunc
	opened chan struct{} // closed by the cloud's consent
	outbox *wire.Outbox  // frames for the session stream
	wg     sync.WaitGroup
	first  uint32 // branch of its first uplink
	since  uint32 // of that

	// guarded by Session.mu
	uplink transport.SendStream // of the current branch, nil until it is open
	err    error                // why it ended
}

// Release takes s off its connection, so that it can be attached to another. The error
// is of a session that is not durable.
func Release(s *Session) error {
	if !s.opt.Durable {
		return fmt.Errorf("session %s is not durable: open another", s.opt.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != nil {
		s.detach(fmt.Errorf("session %s: %w: taken to another connection", s.opt.ID, linkerr.ErrLost))
		s.leaveSaid()
		s.fail(s.lost)
	}
	return nil
}

// Attach puts s on a connection, on which stream was opened for it, and starts its
// goroutines there. It does not wait for the cloud: Open and the rows that no receipt has
// confirmed go out at once, and asks that wait are put again. The error is of Register,
// or why the session has ended; stream is then reset.
func Attach(s *Session, conn Connection, stream transport.Stream) error {
	a := &Attachment{s: s, conn: conn, stream: stream, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
	a.ctx, a.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	if err == nil && s.at != nil {
		err = fmt.Errorf("session %s is open already", s.opt.ID)
	}
	if err == nil {
		a.wg.Add(3)
		owned := func(f func(*Attachment)) func() {
			return func() {
				defer a.wg.Done()
				f(a)
			}
		}
		if err = conn.Register(a, owned(s.write), owned(s.read), owned(s.feed)); err != nil {
			a.wg.Add(-3)
		}
	}
	if err != nil {
		a.cancel()
		stream.CancelWrite(transport.CodeShutdown)
		stream.CancelRead(transport.CodeShutdown)
		return err
	}
	s.begin(a)
	return nil
}

// begin makes a the attachment; mu is held, so that its goroutines wait.
func (s *Session) begin(a *Attachment) {
	if s.lost != nil {
		if s.protocol == 1 { // such a cloud keeps nothing
			s.lineage.confirmed = 0
		}
		s.branch(s.rows.end())
		s.stats.Resumed++
	}
	s.at, s.last, s.lost = a, a, nil
	a.first, a.since = s.lineage.current, s.since
	open := &wire.Open{
		Ref: s.ref(a, a.first, s.lineage.confirmed), Protocol: wire.ProtocolMin, Newest: cmp.Or(s.opt.Newest, wire.Protocol),
		Bundle: s.opt.Bundle, Encodings: s.encodings(), Context: uint64(max(s.opt.Context, 0)),
		Exact: s.opt.Exact, Resends: s.opt.Durable, Since: s.since, Tokens: s.opt.Tokens,
	}
	a.outbox.Put(open)
	s.gotOn(0)
	s.repeatAsks()
	s.wake.Broadcast()
}

// encodings lists what the cloud may choose from, best first.
func (s *Session) encodings() []wire.DType {
	var out []wire.DType
	for _, t := range s.opt.Encodings {
		if !s.opt.Exact && wire.Encodes(t) {
			out = append(out, t)
		}
	}
	return append(out, wire.F32)
}

// detach ends the attachment with err; mu is held.
func (s *Session) detach(err error) {
	a := s.at
	a.err, s.at, s.lost = err, nil, err
	a.cancel()
	code := transport.CodeShutdown
	if errors.As(err, new(*linkerr.ProtocolError)) {
		code = transport.CodeProtocol
	}
	if a.uplink != nil {
		a.uplink.CancelWrite(code)
		a.uplink = nil
	}
	s.from = -1
	a.stream.CancelRead(code)
	a.outbox.Close(nil)
	s.wake.Broadcast()
	a.conn.Forget(a)
}

// lose ends attachment a because of err: the session with it unless that is
// durable.
func (s *Session) lose(a *Attachment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a {
		return
	}
	if !s.opt.Durable {
		s.end(s.wrapped(err))
		return
	}
	if !errors.Is(err, linkerr.ErrLost) {
		err = fmt.Errorf("%w: %w", linkerr.ErrLost, err)
	}
	s.detach(fmt.Errorf("session %s: %w", s.opt.ID, err))
	s.leaveSaid()
	s.fail(s.lost)
}

// leaveSaid has what the cloud went on to say by itself, and what has not come, be of a branch that
// is left: other tokens may be appended in its place before the cloud is there again. mu is held.
func (s *Session) leaveSaid() {
	for _, p := range s.waiting {
		if p.generate != nil || p.lead != nil {
			s.branch(s.rows.end())
			return
		}
	}
}

// Detached returns a channel that is closed once the attachment of now has
// ended; it is closed already while there is none. Why says Lost.
func (s *Session) Detached() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		return closed
	}
	return s.at.ctx.Done()
}

// Lost returns why the session is not attached, as Ask would, and nil while it
// is. It wraps ErrLost, and a *RemoteError where the cloud refused the session.
func (s *Session) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone()
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
