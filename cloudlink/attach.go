package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"skerry/cloudlink/wire"
)

// attachment is a session on one connection, from Open to the end of its
// stream. A durable session has one after another.
type attachment struct {
	client *Client
	stream Stream
	ctx    context.Context // ends with the attachment
	cancel context.CancelFunc
	opened chan struct{} // closed by the cloud's consent
	outbox *wire.Outbox  // frames for the session stream
	wg     sync.WaitGroup
	first  uint32 // branch of its first uplink
	since  uint32 // of that

	// guarded by Session.mu
	uplink SendStream // of the current branch, nil until it is open
	err    error      // why it ended
}

// Resume attaches a durable session, whose connection has ended, to c. It does
// not wait for the cloud: Open and the rows no receipt has confirmed go into
// the first flight, and asks may follow at once. Where the cloud has lost rows
// it had, they are sent again unnoticed. A session still attached elsewhere is
// detached first. The error is of the connection, or ErrClosed.
func (c *Client) Resume(ctx context.Context, s *Session) error {
	if !s.opt.Durable {
		return fmt.Errorf("session %s is not durable: open another", s.opt.ID)
	}
	s.mu.Lock()
	if s.at != nil {
		s.detach(fmt.Errorf("session %s: %w: taken to another connection", s.opt.ID, ErrLost))
		s.fail(s.lost)
	}
	s.mu.Unlock()
	return c.attach(ctx, s)
}

// attach opens a stream for s and starts its goroutines on it. Asks that wait
// are put again.
func (c *Client) attach(ctx context.Context, s *Session) error {
	if err := c.conf.allows(s.opt.Tokens); err != nil {
		return fmt.Errorf("open session on cloud %s: %w", c.conf.Addr, err)
	}
	stream, err := c.conn.OpenStream(ctx, UrgencyAsk)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("open session on cloud %s: %w", c.conf.Addr, err)
		}
		return fmt.Errorf("open session on cloud %s: %w: %w", c.conf.Addr, ErrLost, err)
	}
	a := &attachment{client: c, stream: stream, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
	a.ctx, a.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = s.err; err == nil && s.at != nil {
		err = fmt.Errorf("session %s is open already", s.opt.ID)
	}
	if err == nil {
		err = c.register(s, a, func() { s.write(a) }, func() { s.read(a) }, func() { s.feed(a) })
	}
	if err != nil {
		a.cancel()
		stream.CancelWrite(CodeShutdown)
		stream.CancelRead(CodeShutdown)
		return err
	}
	s.begin(a)
	return nil
}

// begin makes a the attachment; mu is held, so that its goroutines wait.
func (s *Session) begin(a *attachment) {
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
		Ref: s.ref(a, a.first, s.lineage.confirmed), Protocol: wire.ProtocolMin, Newest: wire.Protocol,
		Bundle: s.opt.Bundle, Encodings: s.encodings(), Context: uint64(max(s.opt.Context, 0)),
		Exact: s.opt.Exact, Resends: s.opt.Durable, Since: s.since, Tokens: s.opt.Tokens,
	}
	a.outbox.Put(open)
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
	if a.uplink != nil {
		a.uplink.CancelWrite(CodeShutdown)
		a.uplink = nil
	}
	s.from = -1
	a.stream.CancelRead(CodeShutdown)
	a.outbox.Close(nil)
	s.wake.Broadcast()
	a.client.forget(s)
}

// lose ends attachment a because of err: the session with it unless that is
// durable.
func (s *Session) lose(a *attachment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a {
		return
	}
	if !s.opt.Durable {
		s.end(s.wrapped(err))
		return
	}
	if !errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	s.detach(fmt.Errorf("session %s: %w", s.opt.ID, err))
	s.fail(s.lost)
}

// loseClient is lose for whatever attachment is on c.
func (s *Session) loseClient(c *Client, err error) {
	s.mu.Lock()
	a := s.at
	s.mu.Unlock()
	if a != nil && a.client == c {
		s.lose(a, err)
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
