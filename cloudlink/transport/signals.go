package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/yamux"
)

// A signal says what yamux has no words for: whether a stream that ends is
// finished or reset, that one side will not read on, and why a connection
// closes. Signals travel on a stream of their own, so that no data holds them
// up.
//
//	kind  1 byte
//	id    4 bytes, of the stream; for bye the length of the reason that follows
//	code  8 bytes
type signal struct {
	kind byte
	id   uint32
	code uint64
}

const (
	signalFin   byte = iota + 1 // the sending half ended well
	signalReset                 // it ended at once: what was not read is void
	signalStop                  // the receiving half wants no more
	signalBye                   // the connection closes
)

const (
	signalSize = 13
	maxReason  = 256
)

var errSignal = errors.New("bad signal")

// closedError says that the peer closed the connection.
type closedError struct {
	code   uint64
	reason string
}

func (e *closedError) Error() string {
	return fmt.Sprintf("the peer closed the connection with code %d: %s", e.code, e.reason)
}

func (s signal) append(b []byte) []byte {
	b = append(b, s.kind)
	b = binary.BigEndian.AppendUint32(b, s.id)
	return binary.BigEndian.AppendUint64(b, s.code)
}

// readSignal returns the next signal, with its reason for a bye.
func readSignal(r io.Reader) (signal, string, error) {
	var b [signalSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return signal{}, "", err
	}
	s := signal{b[0], binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:])}
	switch {
	case s.kind < signalFin || s.kind > signalBye:
		return signal{}, "", fmt.Errorf("%w: kind %d", errSignal, s.kind)
	case s.kind != signalBye:
		return s, "", nil
	case s.id > maxReason:
		return signal{}, "", fmt.Errorf("%w: a reason of %d bytes", errSignal, s.id)
	}
	reason := make([]byte, s.id)
	_, err := io.ReadFull(r, reason)
	return s, string(reason), err
}

// signalBox queues signals: who sends one never waits.
type signalBox struct {
	mu     sync.Mutex // guards all following
	wake   *sync.Cond
	b      []byte
	closed bool
}

func newSignalBox() *signalBox {
	o := &signalBox{}
	o.wake = sync.NewCond(&o.mu)
	return o
}

func (o *signalBox) put(s signal, reason string) {
	reason = reason[:min(len(reason), maxReason)]
	if s.kind == signalBye {
		s.id = uint32(len(reason))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.b = append(s.append(o.b), reason...)
		o.wake.Signal()
	}
}

func (o *signalBox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake.Signal()
}

// take waits for signals; nil says that none will come.
func (o *signalBox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.b) == 0 && !o.closed {
		o.wake.Wait()
	}
	b := o.b
	o.b = nil
	return b
}

// startSignals runs both halves of the signal stream. It reports false when
// there is one already.
func (c *muxConn) startSignals(s *yamux.Stream) bool {
	c.mu.Lock()
	second := c.signalled
	c.signalled = true
	c.mu.Unlock()
	if second {
		return false
	}
	c.wg.Go(func() {
		for b := c.out.take(); b != nil; b = c.out.take() {
			if _, err := s.Write(b); err != nil {
				return
			}
		}
	})
	c.wg.Go(func() {
		for {
			sig, reason, err := readSignal(s)
			if err == nil && sig.kind == signalBye {
				err = &closedError{sig.code, reason}
			}
			if err == nil {
				err = c.applySignal(sig)
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = c.wire.cause()
				}
				c.end(err)
				return
			}
		}
	})
	return true
}

// applySignal does what the peer signals about a stream.
func (c *muxConn) applySignal(sig signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.ends[sig.id]
	if e == nil {
		coming := sig.id&1 == 1 != c.client && sig.id > c.accepted
		if sig.kind == signalStop && !coming {
			return nil // it crossed our own end of that stream
		}
		if len(c.ends) > 2*muxStreams {
			return fmt.Errorf("%w: about more than %d streams", errSignal, muxStreams)
		}
		e = newMuxEnds()
		c.ends[sig.id] = e
	}
	switch sig.kind {
	case signalFin:
		e.finish(nil)
	case signalReset:
		e.finish(&streamError{sig.code, true})
	case signalStop:
		e.stop(&streamError{sig.code, true})
	}
	c.freeEnded(sig.id, e)
	return nil
}
