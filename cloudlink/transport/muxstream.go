package transport

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// streamError ends one half of a stream.
type streamError struct {
	code uint64
	peer bool // whether the peer ended it
}

func (e *streamError) Error() string {
	who := "this side"
	if e.peer {
		who = "the peer"
	}
	return fmt.Sprintf("stream ended by %s with code %d", who, e.code)
}

// muxEnds is how the halves of one stream end. The connection's mu guards it.
type muxEnds struct {
	stream *yamux.Stream // nil until the stream is sorted

	verdict  chan struct{} // closed once the peer has said how it ends
	received bool          // verdict is closed
	readErr  error         // of every Read from now on
	writeErr error         // of every Write from now on
	sent     bool          // this side has said how it ends
	one      bool          // the stream has only one half here
	sending  bool          // and that is the sending one
}

func newMuxEnds() *muxEnds { return &muxEnds{verdict: make(chan struct{})} }

// past wakes a Read or Write that waits.
var past = time.Unix(1, 0)

// finish takes the peer's word on how its half ended, nil for well.
func (e *muxEnds) finish(err error) {
	if e.received {
		return
	}
	e.received = true
	if e.readErr == nil {
		e.readErr = err
	}
	close(e.verdict)
	if err != nil && e.stream != nil {
		e.stream.SetReadDeadline(past)
	}
}

// stop takes the peer's word that it reads no more.
func (e *muxEnds) stop(err error) {
	if e.writeErr == nil {
		e.writeErr = err
	}
	if e.stream != nil {
		e.stream.SetWriteDeadline(past)
	}
}

// freeEnded forgets a stream of which no more signals can come; mu is held.
func (c *muxConn) freeEnded(id uint32, e *muxEnds) {
	if e.stream == nil {
		return
	}
	if (e.received || e.one && e.sending) && (e.sent || e.one && !e.sending) {
		delete(c.ends, id)
	}
}

func (c *muxConn) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, id)
}

// muxStream is a stream, or with muxUni one half of one.
type muxStream struct {
	*yamux.Stream
	c    *muxConn
	ends *muxEnds

	wmu    sync.Mutex // guards prefix and orders writes
	prefix []byte     // to be sent before anything else
}

func (c *muxConn) newStream(s *yamux.Stream, kind byte, theirs bool) *muxStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.ends[s.StreamID()]
	if e == nil {
		e = newMuxEnds()
		c.ends[s.StreamID()] = e
	}
	e.stream, e.one, e.sending = s, kind == muxUni, !theirs
	m := &muxStream{Stream: s, c: c, ends: e}
	if !theirs {
		m.prefix = []byte{kind}
	}
	if e.received && e.readErr != nil {
		s.SetReadDeadline(past)
	}
	c.freeEnded(s.StreamID(), e)
	return m
}

// halves returns the errors of reading and writing.
func (s *muxStream) halves() (read, write error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.ends.readErr, s.ends.writeErr
}

func (s *muxStream) Read(b []byte) (int, error) {
	if err, _ := s.halves(); err != nil {
		return 0, err
	}
	n, err := s.Stream.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	if err == io.EOF { // the signal says how it is meant
		select {
		case <-s.ends.verdict:
		case <-s.c.ctx.Done():
			return 0, context.Cause(s.c.ctx)
		}
	}
	if read, _ := s.halves(); read != nil {
		return 0, read
	}
	return 0, s.c.whyUnless(err, io.EOF)
}

// whyUnless is why, but leaves end alone.
func (c *muxConn) whyUnless(err, end error) error {
	if err == end {
		return err
	}
	return c.why(err)
}

func (s *muxStream) Write(b []byte) (int, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if _, err := s.halves(); err != nil {
		return 0, err
	}
	n, err := s.write(b)
	if err == nil {
		return n, nil
	}
	if _, write := s.halves(); write != nil {
		return n, write
	}
	return n, s.c.why(err)
}

// write sends what the stream is for together with the first bytes.
func (s *muxStream) write(b []byte) (int, error) {
	if s.prefix == nil {
		return s.Stream.Write(b)
	}
	first := append(s.prefix, b...)
	s.prefix = nil
	n, err := s.Stream.Write(first)
	return max(n-1, 0), err
}

// endWrite says how the sending half ends, once.
func (s *muxStream) endWrite(sig signal, err error) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.ends.sent || s.ends.one && !s.ends.sending {
		return false
	}
	s.ends.sent = true
	if s.ends.writeErr == nil {
		s.ends.writeErr = err
	}
	sig.id = s.StreamID()
	s.c.out.put(sig, "")
	s.c.freeEnded(sig.id, s.ends)
	return true
}

// Close ends the sending half after all that was written.
func (s *muxStream) Close() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	var err error
	if _, werr := s.halves(); werr == nil && s.prefix != nil {
		_, err = s.write(nil)
	}
	if s.endWrite(signal{kind: signalFin}, io.ErrClosedPipe) {
		s.Stream.Close()
	}
	return err
}

// CancelWrite ends the sending half at once.
func (s *muxStream) CancelWrite(code uint64) {
	if s.endWrite(signal{kind: signalReset, code: code}, &streamError{code, false}) {
		s.SetWriteDeadline(past)
		s.Stream.Close()
	}
}

// CancelRead asks the peer to stop sending.
func (s *muxStream) CancelRead(code uint64) {
	s.c.mu.Lock()
	again := s.ends.readErr != nil && !s.ends.received
	over := s.ends.received
	if s.ends.readErr == nil {
		s.ends.readErr = &streamError{code, false}
	}
	one := s.ends.one && !s.ends.sending
	s.c.mu.Unlock()
	if !over && !again {
		s.c.out.put(signal{kind: signalStop, id: s.StreamID(), code: code}, "")
	}
	s.Stream.SetReadDeadline(past)
	if one {
		s.Stream.Close() // the half that was never used
	}
}

// SetReadDeadline makes a Read that waits beyond t fail.
func (s *muxStream) SetReadDeadline(t time.Time) error {
	if err, _ := s.halves(); err != nil {
		return nil // it fails already
	}
	return s.Stream.SetReadDeadline(t)
}
