// Package session is one sequence of hidden states or token ids in a cloud: what was
// appended, what the cloud has of it over truncations and lost connections, and what was
// asked of it. A session is attached to one connection after another and knows them as a
// Connection; the link that judges itself by it is its Judge.
//
// Append and Ask return at once or wait for a result; three goroutines of an Attachment do
// the rest: feed writes rows on one unidirectional stream a branch (feed.go), write sends
// asks on the session's stream (send.go), and read takes what comes back on that
// (answers.go). The branches (branches.go) say which rows the cloud surely has.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"skerry/cloudlink/hidden"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// flushTime bounds how long Close waits for the last frames to be handed to
// the connection.
const flushTime = time.Second

// Options describe a session. Bundle and Width are needed; Width is
// ignored with Tokens.
type Options struct {
	Bundle  wire.Hash
	Width   int            // n_embd: float32 per hidden state
	Context int            // positions wanted; 0 leaves it to the cloud
	Exact   bool           // lossy encodings are not acceptable
	ID      wire.SessionID // default: drawn at random

	// Durable keeps all rows in memory, Width times 4 bytes each, so that the
	// session outlives its connections: see cloudlink.Client.Resume.
	Durable bool
	// Encodings of hidden states, best first; the cloud takes the first it
	// serves, float32 if none. Default float32. Rows sent before the cloud has
	// said so are float32.
	Encodings []wire.DType
	// Tokens sends token ids in place of hidden states, with AppendTokens, to
	// a bundle whose cloud holds all blocks.
	Tokens bool
	// Vocabulary is how many tokens the model has: ids and rows of another one break
	// the protocol. 0: not known here.
	Vocabulary int
	// Newest is the newest version of the protocol that is spoken; default wire.Protocol.
	Newest uint32
	// Ends are the end tokens of the model, for Generate.
	Ends []int32
	// Position and Branch resume a session of an earlier process, whose ID is
	// then needed, with Durable: rows below Position were the same on branch
	// Branch and on every later one. They need not be in memory; if the cloud
	// has lost them too, Wants says so.
	Position int
	Branch   uint32
}

// Session is one sequence in the cloud's tail stage. Append, Ask, Truncate and
// Close may be called concurrently.
type Session struct {
	opt    Options
	judge  Judge           // nil for none
	ctx    context.Context // ends with the session
	cancel context.CancelFunc

	mu       sync.Mutex  // guards all following
	wake     *sync.Cond  // something for the uplink to do
	err      error       // why the session ended
	at       *Attachment // nil while detached
	last     *Attachment // the newest there was
	lost     error       // why it is not attached, nil before it first was
	limit    int         // positions granted, 0 while not said
	protocol uint32      // agreed on last, 0 before
	encoding wire.DType
	rows     rows
	next     int // first position not yet written to this branch's uplink
	from     int // where this branch's uplink began, -1 before it has
	rewind   int // where the next branch's uplink begins at the latest, -1: not said
	keep     int // what this branch lets stand
	since    uint32
	wants    int // rows from here on are needed and not in memory; -1: none
	lineage  branches
	waiting  map[uint32]*pending // by serial
	serial   uint32
	largest  int       // bytes of the largest answer of several rows that was asked for
	repeats  int       // rows wanted again since the last answer
	computed int       // positions the cloud has surely computed
	moved    time.Time // when rows last got to the cloud, or began to wait for that
	stats    Stats
	uplink   monitor.Uplink   // how far the rows have come, for the link's judge
	got      notify.Broadcast // the cloud has more rows, or the session has ended
}

// Stats count what a session sent.
type Stats struct {
	Position  int    // one past the last appended position
	Sent      int    // one past the last position given to the connection
	Confirmed int    // positions the cloud had by its last word
	Branch    uint32 // number of the current branch
	Rows      uint64 // hidden states sent, repeated ones included
	Bytes     uint64 // of uplink frames
	BytesDown uint64 // of ids and logits in answers; a token of a generation counts as one of each
	Asks      uint64
	Answers   uint64
	Resumed   uint64 // attachments after the first
	Repeats   uint64 // times the cloud wanted rows again
	Encoding  wire.DType
	RowBytes  int // of one hidden state, or token id, in Encoding
	KeptBytes int // memory of the session's own copies of rows
	// CloudTime and CloudBytes are of the newest receipt: goodput is the
	// difference of two. Time is by the cloud's clock.
	CloudTime  time.Duration
	CloudBytes uint64
	CloudQueue time.Duration // what an ask would have waited for others there
	// Waited and Computed are sums over all answers and generated tokens, as
	// the cloud measured them.
	Waited, Computed time.Duration
}

// New returns a session that is not attached to a connection yet: rows are only recorded
// until Attach, so it has to be durable or be attached first. The judge is of the link
// that it belongs to, nil for none.
func New(opt Options, judge Judge) (*Session, error) {
	if opt.Tokens {
		opt.Width = 1
	}
	if opt.Width <= 0 {
		return nil, fmt.Errorf("open session: width %d", opt.Width)
	}
	if (opt.Position > 0 || opt.Branch > 0) && (!opt.Durable || opt.ID == (wire.SessionID{})) {
		return nil, fmt.Errorf("open session: to resume at %d it must be durable and have an id", opt.Position)
	}
	if opt.ID == (wire.SessionID{}) {
		rand.Read(opt.ID[:])
	}
	s := &Session{
		opt: opt, judge: judge, limit: opt.Context, rows: newRows(opt.Width, opt.Position), next: opt.Position,
		from: -1, rewind: -1, wants: -1, waiting: map[uint32]*pending{},
	}
	if opt.Position > 0 || opt.Branch > 0 {
		s.lineage = resumed(opt.Branch, opt.Position)
		s.keep, s.since = opt.Position, opt.Branch
	}
	s.wake = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Tokens reports whether the session sends token ids in place of hidden states.
func (s *Session) Tokens() bool { return s.opt.Tokens }

// ID returns the session's id.
func (s *Session) ID() wire.SessionID { return s.opt.ID }

// Ready waits until the cloud has consented to the session. It returns the
// refusal, as ErrUnknownBundle or ErrBusy, the loss of the connection, or the
// context's error.
func (s *Session) Ready(ctx context.Context) error {
	s.mu.Lock()
	a, err := s.at, s.gone()
	s.mu.Unlock()
	if a == nil {
		return err
	}
	select {
	case <-a.opened:
		return nil
	case <-a.ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("session %s: %w", s.opt.ID, ctx.Err())
	}
}

// Done is closed when the session has ended, and Err then says why. A durable
// session ends only by Close.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Err returns why the session ended, nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Share has the session read its rows where they are kept already, in place of copying
// them: what is appended from now on lies in the buffer by then, at the same positions and
// of the session's width. Before other rows are put in their place, Truncate has the
// session forget them. It is for a session that has no rows yet; one of token ids has none
// to share, and is left as it is.
func (s *Session) Share(rows *hidden.Buffer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opt.Tokens {
		return nil
	}
	if s.rows.high.from < s.rows.high.to || rows.Width() != s.rows.buffer.Width() {
		return fmt.Errorf("session %s: rows of width %d cannot be shared: it has %d of width %d",
			s.opt.ID, rows.Width(), s.rows.high.to-s.rows.high.from, s.rows.buffer.Width())
	}
	s.rows.buffer, s.rows.shared = rows, true
	return nil
}

// Append queues hidden, [n][n_embd]float32, for the positions [pos, pos+n), and
// returns at once; hidden is copied, unless Share says where it lies. Positions appended
// before are ignored. It returns a *hidden.GapError when positions are left out,
// ErrContextFull, or why the session ended.
func (s *Session) Append(pos int, hidden []float32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.append(pos, hidden)
}

// append is Append; mu is held.
func (s *Session) append(pos int, hidden []float32) error {
	if s.err != nil {
		return s.err
	}
	if end := pos + len(hidden)/s.opt.Width; s.limit > 0 && end > s.limit {
		return fmt.Errorf("session %s: position %d of a context of %d: %w", s.opt.ID, end, s.limit, linkerr.ErrContextFull)
	}
	if s.lineage.confirmed >= s.rows.end() {
		s.moved = time.Now()
	}
	if err := s.rows.append(pos, hidden, s.opt.Durable); err != nil {
		return fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.uplink.Appended(s.rows.end(), time.Now())
	s.ready()
	s.markDemand()
	if s.lineage.confirmed >= s.rows.base() {
		s.wants = -1
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
	if pos < 0 || pos > s.rows.end() {
		return fmt.Errorf("session %s: truncate to %d of %d positions", s.opt.ID, pos, s.rows.end())
	}
	s.branch(pos)
	s.rows.truncate(pos)
	s.uplink.Truncate(pos)
	s.fail(fmt.Errorf("session %s: %w", s.opt.ID, linkerr.ErrTruncated))
	return nil
}

// branch starts a new branch that lets stand what the cloud has below pos; mu
// is held.
func (s *Session) branch(pos int) {
	s.since = s.lineage.named
	s.keep = s.lineage.truncate(pos)
	s.computed = min(s.computed, s.keep)
	s.from = -1
	if s.at != nil && s.at.uplink != nil {
		s.at.uplink.CancelWrite(transport.CodeBranch)
		s.at.uplink = nil
	}
	s.wake.Broadcast()
}

// Stats returns the session's counters.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Position, st.Sent = s.rows.end(), min(s.next, s.rows.end())
	st.Confirmed, st.Branch = s.lineage.confirmed, s.lineage.current
	if st.Encoding = s.encoding; s.opt.Tokens {
		st.Encoding = wire.I32
	}
	st.RowBytes, st.KeptBytes = s.rowBytes(), s.rows.bytes()
	return st
}

// rowBytes is what a row takes on the way up; mu is held.
func (s *Session) rowBytes() int {
	if s.opt.Tokens {
		return 4
	}
	return s.encoding.RowBytes(s.opt.Width)
}

// Close ends the session on both sides and waits for its goroutines. Whatever
// is not sent yet is dropped.
func (s *Session) Close() error {
	s.mu.Lock()
	if a := s.at; a != nil {
		a.outbox.Put(&wire.Close{Ref: s.ref(a, s.lineage.current, 0)})
	}
	s.end(fmt.Errorf("session %s: %w", s.opt.ID, linkerr.ErrClosed))
	last := s.last
	s.mu.Unlock()
	if last != nil {
		last.wg.Wait()
	}
	return nil
}

// end records why the session ended, once, and stops its goroutines; mu is
// held.
func (s *Session) end(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.cancel()
	if s.at != nil {
		s.detach(err)
	}
	s.fail(err)
	s.wake.Broadcast()
	s.got.Announce()
}

// gone returns why nothing can be asked, nil while something can; mu is held.
func (s *Session) gone() error {
	switch {
	case s.err != nil:
		return s.err
	case s.at != nil:
		return nil
	case s.lost != nil:
		return s.lost
	}
	return fmt.Errorf("session %s: %w: not connected yet", s.opt.ID, linkerr.ErrLost)
}

// received notes that the cloud had the rows below end on a branch; mu is held.
func (s *Session) received(branch uint32, end int) {
	if branch == s.lineage.current {
		end = min(end, s.next)
	}
	before := s.lineage.confirmed
	if s.lineage.receipt(branch, end); s.lineage.confirmed > before {
		s.gotOn(before)
		s.got.Announce()
	}
	if !s.opt.Durable {
		s.rows.forget(s.lineage.confirmed)
	}
}

// AwaitReceipt waits until the cloud has all rows below pos. It returns why the session
// ended, or the context's error.
func (s *Session) AwaitReceipt(ctx context.Context, pos int) error {
	for {
		got := s.got.Next()
		s.mu.Lock()
		confirmed, err := s.lineage.confirmed, s.err
		s.mu.Unlock()
		switch {
		case confirmed >= pos:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-got:
		case <-ctx.Done():
			return fmt.Errorf("session %s: %w", s.opt.ID, ctx.Err())
		}
	}
}

func (s *Session) ref(a *Attachment, branch uint32, pos int) wire.Ref {
	return wire.Ref{Session: s.opt.ID, Epoch: a.conn.Epoch(), Branch: branch, Position: uint64(pos)}
}

// wrapped names the session in err.
func (s *Session) wrapped(err error) error {
	if errors.Is(err, linkerr.ErrClosed) {
		return err
	}
	return fmt.Errorf("session %s: %w", s.opt.ID, err)
}
