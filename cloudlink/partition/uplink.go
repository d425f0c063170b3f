package partition

import (
	"errors"
	"fmt"
	"io"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// uplink queues the hidden states of one branch until the stream ends, is
// reset, or belongs to a branch that was left.
func (c *connection) uplink(stream transport.ReceiveStream, settled func()) {
	defer settled()
	r := wire.NewReader(stream, maxFirstBody)
	stream.SetReadDeadline(time.Now().Add(firstFrame))
	m, err := r.Next()
	stream.SetReadDeadline(time.Time{})
	header, ok := m.(*wire.UplinkHeader)
	if err != nil || !ok {
		if err == nil || isPeerFault(err) {
			c.srv.count.badFrames.Add(1)
			c.log().Warn("uplink refused", "text", badFrame(m, err))
		}
		stream.CancelRead(transport.CodeProtocol)
		return
	}
	s, known := c.await(header.Session)
	if s == nil || header.Epoch != s.epoch {
		if s != nil || !known {
			c.noteForeign("uplink", header.Session, header.Epoch)
		}
		stream.CancelRead(transport.CodeRefused)
		return
	}
	settled()
	c.waitTurn()
	r.Limit(maxUplinkBody)
	if refused := s.feed(stream, r, header); refused != nil {
		c.srv.count.badFrames.Add(1)
		s.fail(refused)
	}
	stream.CancelRead(transport.CodeBranch) // no effect on a stream that has ended
}

// feed returns the error that ends the session, nil when only the stream is
// over.
func (s *session) feed(stream transport.ReceiveStream, r *wire.Reader, header *wire.UplinkHeader) *wire.Error {
	s.sched.mu.Lock()
	if s.tail.user != s { // ended, or another connection has it
		s.sched.mu.Unlock()
		return nil
	}
	keep := int(header.Keep)
	if s.tail.outdated(header.Branch, header.Since) {
		keep = 0
	}
	current, refused := s.tail.startBranch(header, s.sched.clock())
	tellKeeper := func() {}
	if current && refused == nil {
		s.replace(stream)
		tellKeeper = s.tail.keepOnly(keep)
	}
	s.sched.changed.Broadcast() // an older branch may be waiting for room
	s.sched.mu.Unlock()
	tellKeeper()
	if refused != nil || !current {
		return refused
	}
	s.sched.wake()
	s.conn.receipts.arrived(s, 0)
	var rows []float32
	for {
		before := r.Consumed()
		m, err := nextFrame(stream, r)
		if err == io.EOF || err != nil && !isPeerFault(err) {
			return nil
		}
		var pos int
		if err == nil {
			pos, rows, err = s.rows(m, rows[:0])
		}
		if err != nil {
			return &wire.Error{Code: wire.CodeProtocol, Text: "uplink: " + badFrame(nil, err)}
		}
		n := r.Consumed() - before
		if current, refused := s.append(header.Branch, pos, rows, n); refused != nil || !current {
			return refused
		}
		s.conn.srv.count.bytesUp.Add(n)
		s.conn.srv.count.rowsUp.Add(uint64(len(rows) / s.sched.bundle.Stage.Width()))
		s.conn.receipts.arrived(s, int(n))
	}
}

// rows appends to dst what a frame of the uplink carries, [n][n_embd]float32,
// from position pos on.
func (s *session) rows(m wire.Message, dst []float32) (pos int, rows []float32, err error) {
	stage := s.sched.bundle.Stage
	switch m := m.(type) {
	case *wire.Hidden:
		if t := m.Tensor.DType; s.sched.whole() || t != wire.F32 && t != s.terms.encoding {
			return 0, dst, fmt.Errorf("hidden states of type %d were not agreed", t)
		}
		if m.Width() != stage.Width() {
			return 0, dst, fmt.Errorf("hidden states of width %d, the model's is %d", m.Width(), stage.Width())
		}
		rows, err = m.Float32(dst)
		return int(m.Position), rows, err
	case *wire.Tokens:
		if !s.sched.whole() {
			return 0, dst, errors.New("token ids were not agreed")
		}
		for _, id := range m.IDs {
			if id < 0 || int(id) >= stage.Vocab() {
				return 0, dst, fmt.Errorf("token id %d of a vocabulary of %d", id, stage.Vocab())
			}
			dst = append(dst, float32(id))
		}
		return int(m.Position), dst, nil
	}
	return 0, dst, errors.New(badFrame(m, nil))
}

// replace makes stream the only uplink that is read: what an older one has left
// is of a branch that was left, and it may never end. mu is held.
func (s *session) replace(stream transport.ReceiveStream) {
	if s.reading != nil {
		s.reading.CancelRead(transport.CodeBranch)
	}
	s.reading = stream
}

// append queues rows once there is room for them. It reports false when the
// branch was left or the session has ended.
func (s *session) append(branch uint32, pos int, rows []float32, frame uint64) (current bool, refused *wire.Error) {
	s.sched.mu.Lock()
	defer s.sched.mu.Unlock()
	t := s.tail
	for t.user == s && !t.closed && !t.failed && t.branch == branch && t.full() {
		s.sched.mem.checkPressure()
		s.sched.wake()
		s.sched.changed.Wait()
	}
	if t.user != s || t.closed || t.failed || t.branch != branch {
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
