package transport

import (
	"context"
	"errors"
	"sync"
)

// earlyConn is a client's connection whose handshake is not confirmed yet. What
// is written to its streams is kept until then. When the cloud rejects the
// early data, the streams are opened again on the confirmed connection and
// written again, which nobody who holds one notices.
type earlyConn struct {
	Conn                  // stays the same after a rejection
	settled chan struct{} // closed when the fate of the early data has been dealt with
	wg      sync.WaitGroup

	gate sync.RWMutex // held to write fate and err, and to read them where a stream is opened
	fate fate
	err  error // why there is no connection to go on with

	mu      sync.Mutex // guards streams
	streams []*earlyStream
}

// fate is what became of the early data.
type fate int

const (
	undecided fate = iota
	accepted
	rejected
)

func newEarlyConn(c Conn) *earlyConn {
	e := &earlyConn{Conn: c, settled: make(chan struct{})}
	e.wg.Go(e.settle)
	return e
}

// settle waits for the handshake and writes the streams again if it must.
func (e *earlyConn) settle() {
	defer close(e.settled)
	select {
	case <-e.Conn.HandshakeComplete():
	case <-e.Conn.Context().Done():
	}
	e.gate.Lock()
	defer e.gate.Unlock()
	if err := context.Cause(e.Conn.Context()); err != nil {
		e.fate, e.err = rejected, err
		return
	}
	if e.Conn.Used0RTT() {
		e.fate = accepted
		for _, s := range e.streams {
			s.accept()
		}
		e.streams = nil
		return
	}
	e.fate = rejected
	next, err := e.Conn.Next(e.Conn.Context())
	for _, s := range e.streams {
		if err == nil {
			err = s.reopen(next)
		}
	}
	e.streams, e.err = nil, err
}

// again waits until a rejection has been dealt with.
func (e *earlyConn) again() error {
	<-e.settled
	return e.err
}

// opener opens a stream of one kind.
type opener func(context.Context, Conn) (Stream, error)

func (e *earlyConn) OpenStream(ctx context.Context, u Urgency) (Stream, error) {
	return e.open(ctx, false, func(ctx context.Context, c Conn) (Stream, error) { return c.OpenStream(ctx, u) })
}

func (e *earlyConn) OpenUniStream(ctx context.Context, u Urgency) (SendStream, error) {
	return e.open(ctx, true, func(ctx context.Context, c Conn) (Stream, error) {
		s, err := c.OpenUniStream(ctx, u)
		return sendOnly{SendStream: s}, err
	})
}

func (e *earlyConn) open(ctx context.Context, uni bool, open opener) (Stream, error) {
	s, err := e.openEarly(ctx, uni, open)
	if !errors.Is(err, ErrEarlyRejected) {
		return s, err
	}
	if err := e.again(); err != nil {
		return nil, err
	}
	return open(ctx, e.Conn)
}

// openEarly opens a stream and keeps it among those to write again, in one step
// as settle sees it.
func (e *earlyConn) openEarly(ctx context.Context, uni bool, open opener) (Stream, error) {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if e.err != nil {
		return nil, e.err
	}
	s, err := open(ctx, e.Conn)
	if err != nil || e.fate != undecided {
		return s, err
	}
	early := &earlyStream{conn: e, open: open, uni: uni, cur: s}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams = append(e.streams, early)
	return early, nil
}

func (e *earlyConn) AcceptStream(ctx context.Context, u Urgency) (Stream, error) {
	s, err := e.Conn.AcceptStream(ctx, u)
	if errors.Is(err, ErrEarlyRejected) && e.again() == nil {
		return e.Conn.AcceptStream(ctx, u)
	}
	return s, err
}

func (e *earlyConn) AcceptUniStream(ctx context.Context) (ReceiveStream, error) {
	s, err := e.Conn.AcceptUniStream(ctx)
	if errors.Is(err, ErrEarlyRejected) && e.again() == nil {
		return e.Conn.AcceptUniStream(ctx)
	}
	return s, err
}

// Next has nothing to add: a rejection is dealt with here.
func (e *earlyConn) Next(context.Context) (Conn, error) { return e, e.again() }

func (e *earlyConn) Close(code uint64, reason string) error {
	err := e.Conn.Close(code, reason)
	e.wg.Wait()
	return err
}

// sendOnly makes a SendStream a Stream that nothing comes on.
type sendOnly struct {
	SendStream
	ReceiveStream
}
