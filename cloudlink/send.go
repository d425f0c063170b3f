package cloudlink

import (
	"time"

	"skerry/cloudlink/wire"
)

// send queues m for the session stream.
func (s *Session) send(m wire.Message) error { return s.outbox.Put(m) }

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
		b := s.outbox.Take()
		if b == nil {
			s.stream.Close()
			return
		}
		if _, err := s.stream.Write(b); err != nil {
			return // the reader learns why
		}
	}
}
