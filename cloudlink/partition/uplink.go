package partition

import (
	"fmt"
	"io"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// uplink queues the hidden states of one branch until the stream ends, is
// reset, or belongs to a branch that was left.
func (c *connection) uplink(stream cloudlink.ReceiveStream) {
	r := wire.NewReader(stream, maxUplinkBody)
	stream.SetReadDeadline(time.Now().Add(firstFrame))
	m, err := r.Next()
	stream.SetReadDeadline(time.Time{})
	header, ok := m.(*wire.UplinkHeader)
	if err != nil || !ok {
		if err == nil || isPeerFault(err) {
			c.srv.count.badFrames.Add(1)
			c.log.Warn("uplink refused", "text", badFrame(m, err))
		}
		stream.CancelRead(cloudlink.CodeProtocol)
		return
	}
	s := c.await(header.Session)
	if s == nil || header.Epoch != s.epoch {
		stream.CancelRead(cloudlink.CodeRefused)
		return
	}
	if refused := s.feed(r, header); refused != nil {
		c.srv.count.badFrames.Add(1)
		s.fail(refused)
	}
	stream.CancelRead(cloudlink.CodeBranch) // no effect on a stream that has ended
}

// feed returns the error that ends the session, nil when only the stream is
// over.
func (s *session) feed(r *wire.Reader, header *wire.UplinkHeader) *wire.Error {
	s.sched.mu.Lock()
	current, refused := s.tail.rebranch(header, s.sched.clock())
	s.sched.changed.Broadcast() // an older branch may be waiting for room
	s.sched.mu.Unlock()
	if refused != nil || !current {
		return refused
	}
	s.sched.wake()
	s.conn.due.note(s, 0)
	var rows []float32
	for width := s.sched.bundle.Stage.Width(); ; {
		before := r.Consumed()
		m, err := r.Next()
		if err == io.EOF || err != nil && !isPeerFault(err) {
			return nil
		}
		hidden, ok := m.(*wire.Hidden)
		if err == nil && ok {
			rows, err = hidden.Float32(rows[:0])
			if err == nil && hidden.Width() != width {
				err = fmt.Errorf("hidden states of width %d, the model's is %d", hidden.Width(), width)
			}
		}
		if err != nil || !ok {
			return &wire.Error{Code: wire.CodeProtocol, Text: "uplink: " + badFrame(m, err)}
		}
		n := r.Consumed() - before
		if current, refused := s.append(header.Branch, int(hidden.Position), rows, n); refused != nil || !current {
			return refused
		}
		s.conn.srv.count.bytesUp.Add(n)
		s.conn.srv.count.rowsUp.Add(uint64(hidden.Rows()))
		s.conn.due.note(s, int(n))
	}
}

// append queues rows once there is room for them. It reports false when the
// branch was left or the session has ended.
func (s *session) append(branch uint32, pos int, rows []float32, frame uint64) (current bool, refused *wire.Error) {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	t := s.tail
	for !t.closed && !t.failed && t.branch == branch && t.full() {
		s.sched.wake()
		s.sched.changed.Wait()
	}
	if t.closed || t.failed || t.branch != branch {
		return false, nil
	}
	now := s.sched.clock()
	if refused := t.append(pos, rows, s.sched.bundle.Stage.Width(), now); refused != nil {
		return false, refused
	}
	s.bytes += frame
	s.arrived = now
	s.sched.wake()
	return true, nil
}
