package session

import (
	"context"
	"skerry/cloudlink/transport"
	"time"
)

// write owns the sending half of the session stream. Once the attachment ends,
// what is left may take flushTime at most.
func (s *Session) write(a *Attachment) {
	flush := make(chan *time.Timer, 1)
	stop := context.AfterFunc(a.ctx, func() {
		flush <- time.AfterFunc(flushTime, func() { a.stream.CancelWrite(transport.CodeShutdown) })
	})
	defer func() {
		if !stop() {
			(<-flush).Stop()
		}
	}()
	for {
		b := a.outbox.Take()
		if b == nil {
			a.stream.Close()
			return
		}
		if _, err := a.stream.Write(b); err != nil {
			return // the reader learns why
		}
	}
}
