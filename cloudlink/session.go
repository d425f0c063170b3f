package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/backlog"
	"skerry/cloudlink/wire"
)

// flushTime bounds how long Close waits for the last frames to be handed to
// the connection.
const flushTime = time.Second

// SessionOptions describe a session. Bundle and Width are needed.
type SessionOptions struct {
	Bundle  wire.Hash
	Width   int            // n_embd: float32 per hidden state
	Context int            // positions wanted; 0 leaves it to the cloud
	Exact   bool           // lossy encodings are not acceptable
	ID      wire.SessionID // default: drawn at random
}

// Session is one sequence in the cloud's tail stage. Append, Ask, Truncate and
// Close may be called concurrently.
type Session struct {
	opt    SessionOptions
	client *Client
	stream Stream
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	opened chan struct{} // closed by the cloud's consent
	wg     sync.WaitGroup
	outbox *wire.Outbox // frames for the session stream

	mu      sync.Mutex // guards all following
	wake    *sync.Cond // something for the uplink to do
	err     error      // why the session ended
	limit   int        // positions granted, 0 while not said
	cloud   int        // position the cloud opened at
	rows    *backlog.Backlog
	next    int // first position not yet written to this branch's uplink
	keep    int // what this branch lets stand
	lineage branches
	uplink  SendStream // of this branch, nil until it is open
	waiting map[askKey]chan askResult
	serial  uint32
	stats   SessionStats
}

// SessionStats count what a session sent.
type SessionStats struct {
	Position  int    // one past the last appended position
	Sent      int    // one past the last position given to the connection
	Confirmed int    // positions the cloud surely has
	Branch    uint32 // truncations so far
	Rows      uint64 // hidden states sent, repeated ones included
	Bytes     uint64 // of uplink frames
	Asks      uint64
	Answers   uint64
	// CloudTime and CloudBytes are of the newest receipt: goodput is the
	// difference of two. Time is by the cloud's clock.
	CloudTime  time.Duration
	CloudBytes uint64
}

func newSession(c *Client, opt SessionOptions, stream Stream) *Session {
	s := &Session{
		opt: opt, client: c, stream: stream, opened: make(chan struct{}),
		limit: opt.Context, rows: backlog.New(opt.Width), waiting: map[askKey]chan askResult{},
	}
	s.wake = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.outbox = wire.NewOutbox(0)
	return s
}

// start runs the session's goroutines; the client and Close wait for them.
func (s *Session) start() {
	s.send(&wire.Open{
		Ref: s.ref(0, 0), Protocol: wire.Protocol, Bundle: s.opt.Bundle,
		Encodings: []wire.DType{wire.F32}, Context: uint64(max(s.opt.Context, 0)), Exact: s.opt.Exact,
	})
	for _, f := range []func(){s.write, s.read, s.feed} {
		s.wg.Add(1)
		s.client.wg.Go(func() {
			defer s.wg.Done()
			f()
		})
	}
}

// ID returns the session's id.
func (s *Session) ID() wire.SessionID { return s.opt.ID }

// Ready waits until the cloud has consented to the session. It returns the
// refusal, as ErrUnknownBundle or ErrBusy, the loss of the connection, or the
// context's error.
func (s *Session) Ready(ctx context.Context) error {
	select {
	case <-s.opened:
		return nil
	case <-s.ctx.Done():
		return s.Err()
	case <-ctx.Done():
		return fmt.Errorf("session %s: %w", s.opt.ID, ctx.Err())
	}
}

// Done is closed when the session has ended, and Err then says why.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Err returns why the session ended, nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Append queues hidden, [n][n_embd]float32, for the positions [pos, pos+n), and
// returns at once; hidden is copied. Positions appended before are ignored. It
// returns a *backlog.GapError when positions are left out, ErrContextFull, or
// why the session ended.
func (s *Session) Append(pos int, hidden []float32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if end := pos + len(hidden)/s.opt.Width; s.limit > 0 && end > s.limit {
		return fmt.Errorf("session %s: position %d of a context of %d: %w", s.opt.ID, end, s.limit, ErrContextFull)
	}
	if pos < s.rows.Base() { // confirmed long ago
		known := min((s.rows.Base()-pos)*s.opt.Width, len(hidden))
		pos, hidden = s.rows.Base(), hidden[known:]
	}
	if err := s.rows.Append(pos, hidden); err != nil {
		return fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.wake.Broadcast()
	return nil
}

// Truncate forgets the positions at pos and above and starts a new branch.
// Asks that wait end with ErrTruncated. What is in flight of the old branch is
// given up; rows below pos that no receipt has confirmed are sent again.
func (s *Session) Truncate(pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if pos < 0 || pos > s.rows.End() {
		return fmt.Errorf("session %s: truncate to %d of %d positions", s.opt.ID, pos, s.rows.End())
	}
	s.keep = s.lineage.truncate(pos)
	s.rows.Truncate(pos)
	if s.uplink != nil {
		s.uplink.CancelWrite(CodeBranch)
		s.uplink = nil
	}
	s.fail(fmt.Errorf("session %s: %w", s.opt.ID, ErrTruncated))
	s.wake.Broadcast()
	return nil
}

// Stats returns the session's counters.
func (s *Session) Stats() SessionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Position, st.Sent = s.rows.End(), min(s.next, s.rows.End())
	st.Confirmed, st.Branch = s.lineage.confirmed, s.lineage.current
	return st
}

// Close ends the session on both sides and waits for its goroutines. Whatever
// is not sent yet is dropped.
func (s *Session) Close() error {
	s.mu.Lock()
	closing := s.err == nil
	branch := s.lineage.current
	s.mu.Unlock()
	if closing {
		s.send(&wire.Close{Ref: s.ref(branch, 0)})
	}
	s.end(fmt.Errorf("session %s: %w", s.opt.ID, ErrClosed))
	s.wg.Wait()
	return nil
}

// end records why the session ended, once, and stops its goroutines.
func (s *Session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if !errors.Is(err, ErrClosed) {
		err = fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.err = err
	s.cancel()
	s.fail(err)
	if s.uplink != nil {
		s.uplink.CancelWrite(CodeShutdown)
	}
	s.stream.CancelRead(CodeShutdown)
	s.outbox.Close(nil)
	s.wake.Broadcast()
	s.client.forget(s)
}

// receipt drops the rows the cloud surely has.
func (s *Session) receipt(m *wire.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.CloudTime = time.Duration(m.Time) * time.Microsecond
	s.stats.CloudBytes = m.Bytes
	end := int(m.Position)
	if m.Branch == s.lineage.current {
		end = min(end, s.next)
	}
	s.lineage.receipt(m.Branch, end)
	s.rows.Take(s.lineage.confirmed - s.rows.Base())
}

func (s *Session) ref(branch uint32, pos int) wire.Ref {
	return wire.Ref{Session: s.opt.ID, Epoch: s.client.conf.Epoch, Branch: branch, Position: uint64(pos)}
}
