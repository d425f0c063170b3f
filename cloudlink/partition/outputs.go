package partition

import (
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const (
	// maxStall is how long a board may take no byte of what is written to it.
	maxStall = 20 * time.Second
	// writePiece is what is written at once, in bytes: a board that takes less than
	// that in maxStall has stalled.
	writePiece = 16 << 10
)

// write sends one message.
func write(w transport.SendStream, m wire.Message) error {
	b, err := wire.Append(nil, m)
	if err != nil {
		return err
	}
	return writeAll(w, b)
}

// stallingStream is a SendStream whose writes fail once the board has taken nothing for
// maxStall.
type stallingStream struct{ transport.SendStream }

func (p stallingStream) Write(b []byte) (int, error) {
	if err := writeAll(p.SendStream, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writeAll writes b, and resets the stream when the board takes nothing.
func writeAll(w transport.SendStream, b []byte) error {
	late := time.AfterFunc(maxStall, func() { w.CancelWrite(transport.CodeRefused) })
	defer late.Stop()
	for len(b) > 0 {
		n, err := w.Write(b[:min(len(b), writePiece)])
		if err != nil {
			return err
		}
		b = b[n:]
		late.Reset(maxStall)
	}
	return nil
}

// put queues m for the board and never waits: a session whose board leaves too
// much unread ends, and so does the worst when all together do.
func (s *session) put(m wire.Message) {
	if s.out.Put(m) != nil {
		s.cut()
		return
	}
	if worst := s.conn.srv.mem.output(s); worst != nil {
		worst.cut()
	}
}

// cut ends a session whose board does not read, without a word to it.
func (s *session) cut() {
	if !s.slow.CompareAndSwap(false, true) {
		return
	}
	s.conn.srv.count.slow.Add(1)
	s.conn.log().Warn("session ends: its board leaves answers unread",
		"session", s.key.id, "bytes", s.out.Held())
	s.out.Abort()
	s.conn.srv.mem.output(s)
	s.stream.CancelWrite(transport.CodeRefused)
	s.stream.CancelRead(transport.CodeRefused)
}
