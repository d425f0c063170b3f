package transport

import (
	"errors"
	"sync"
	"time"
)

// earlyStream is a stream opened before the handshake was confirmed.
type earlyStream struct {
	conn *earlyConn
	open opener
	uni  bool

	writing sync.Mutex // held while something is written, in order

	mu       sync.Mutex // guards all following
	cur      Stream
	over     bool   // nothing needs to be kept any more
	record   []byte // written so far
	again    bool   // the record waits to be written again
	closed   bool
	reset    *uint64 // code of CancelWrite
	stopped  *uint64 // code of CancelRead
	deadline time.Time
}

func (s *earlyStream) current() Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

// Write implements io.Writer. What a rejected flight carried of b has been
// written again by the time that it returns.
func (s *earlyStream) Write(b []byte) (int, error) {
	n, err := s.write(b)
	if !errors.Is(err, ErrEarlyRejected) {
		return n, err
	}
	if err := s.conn.again(); err != nil {
		return 0, err
	}
	if ok := s.flush(); !ok {
		return 0, err // it was reset meanwhile
	}
	return len(b), nil
}

func (s *earlyStream) write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.drain()
	s.mu.Lock()
	cur := s.cur
	if !s.over {
		s.record = append(s.record, b...)
	}
	s.mu.Unlock()
	return cur.Write(b)
}

// Read implements io.Reader. Nothing of a rejected flight was answered.
func (s *earlyStream) Read(b []byte) (int, error) {
	n, err := s.current().Read(b)
	if !errors.Is(err, ErrEarlyRejected) {
		return n, err
	}
	if err := s.conn.again(); err != nil {
		return 0, err
	}
	return s.current().Read(b)
}

func (s *earlyStream) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.cur.Close()
}

func (s *earlyStream) CancelWrite(code uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reset == nil {
		s.reset = &code
	}
	s.record = nil
	s.cur.CancelWrite(code)
}

func (s *earlyStream) CancelRead(code uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		s.stopped = &code
	}
	s.cur.CancelRead(code)
}

func (s *earlyStream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return s.cur.SetReadDeadline(t)
}

// accept drops the record: it has arrived.
func (s *earlyStream) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.record = true, nil
}

// reopen puts a new stream of next in place of the rejected one. The record is
// written in the background, since a full window may hold it up; whoever writes
// next waits for that.
func (s *earlyStream) reopen(next Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.reset != nil && s.uni {
		return nil // dead before it arrived
	}
	cur, err := s.open(next.Context(), next)
	if err != nil {
		return err
	}
	s.cur = cur
	if !s.uni {
		cur.SetReadDeadline(s.deadline)
	}
	if s.stopped != nil {
		cur.CancelRead(*s.stopped)
	}
	if s.reset != nil {
		cur.CancelWrite(*s.reset)
		return nil
	}
	s.again = true
	s.conn.wg.Go(func() { s.flush() })
	return nil
}

// flush makes sure that the record has been written again. It reports false
// for a stream that was reset.
func (s *earlyStream) flush() bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reset == nil
}

// drain writes the record again and ends the stream if that came next; writing
// is held. An error comes again at the next Write.
func (s *earlyStream) drain() {
	s.mu.Lock()
	cur, record, again, closed := s.cur, s.record, s.again, s.closed
	if again {
		s.again, s.record = false, nil
	}
	s.mu.Unlock()
	if !again {
		return
	}
	cur.Write(record)
	if closed {
		cur.Close()
	}
}
