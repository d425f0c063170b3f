package cloudlink

import (
	"sync"
	"time"

	"skerry/cloudlink/wire"
)

// outbox queues frames for a stream, so that who sends one never waits for the
// network.
type outbox struct {
	mu     sync.Mutex // guards all following
	wake   *sync.Cond
	frames []byte
	closed bool
}

func (o *outbox) init() { o.wake = sync.NewCond(&o.mu) }

func (o *outbox) put(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.frames = append(o.frames, frame...)
		o.wake.Signal()
	}
}

// close lets take return what is left and then nothing.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake.Signal()
}

// take waits for frames and returns them, nil when none will come.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.frames) == 0 && !o.closed {
		o.wake.Wait()
	}
	b := o.frames
	o.frames = nil
	return b
}

// send queues m for the session stream.
func (s *Session) send(m wire.Message) error {
	b, err := wire.Append(nil, m)
	if err == nil {
		s.outbox.put(b)
	}
	return err
}

// write owns the sending half of the session stream. Once the session ends,
// what is left may take flushTime at most.
func (s *Session) write() {
	flush := make(chan *time.Timer, 1)
	stop := s.onEnd(func() {
		flush <- time.AfterFunc(flushTime, func() { s.stream.CancelWrite(CodeShutdown) })
	})
	defer func() {
		if !stop() {
			(<-flush).Stop()
		}
	}()
	for {
		b := s.outbox.take()
		if b == nil {
			s.stream.Close()
			return
		}
		if _, err := s.stream.Write(b); err != nil {
			return // the reader learns why
		}
	}
}
