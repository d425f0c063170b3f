package session

import (
	"fmt"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// frameRows is the payload a Hidden frame is filled up to, in bytes: enough to
// make headers cheap, little enough that a branch left behind wastes little.
const frameRows = 32 << 10

// feed owns the uplinks of a: one stream per branch, fed as rows are appended.
func (s *Session) feed(a *Attachment) {
	for left := int64(-1); ; {
		header, ok := s.nextBranch(a, left)
		if !ok {
			return
		}
		left = int64(header.Branch)
		stream, err := a.conn.OpenUniStream(a.ctx, transport.UrgencyUplink)
		if err != nil {
			s.lose(a, a.conn.Lost(err)) // no effect when the attachment ended first
			return
		}
		if s.adopt(a, stream, header.Branch) {
			s.feedBranch(a, stream, header)
		}
	}
}

// nextBranch waits until the current branch is another than the one left and
// its rows are in memory.
func (s *Session) nextBranch(a *Attachment, left int64) (*wire.UplinkHeader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.at == a && (int64(s.lineage.current) == left || s.lacking()) {
		s.wake.Wait()
	}
	if s.at != a {
		return nil, false
	}
	s.next = s.lineage.confirmed
	if s.rewind >= 0 {
		s.next, s.rewind = min(s.next, s.rewind), -1
	}
	s.from = s.next
	return &wire.UplinkHeader{
		Ref: s.ref(a, s.lineage.current, s.next), Keep: uint64(s.keep), Since: s.since,
	}, true
}

// adopt makes stream the uplink that Truncate resets, unless the branch has
// changed already.
func (s *Session) adopt(a *Attachment, stream transport.SendStream, branch uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a || s.lineage.current != branch {
		stream.CancelWrite(transport.CodeBranch)
		return false
	}
	a.uplink = stream
	return true
}

// feedBranch writes until the branch changes, the attachment ends or the cloud
// stops reading; then the reason comes on the session stream.
func (s *Session) feedBranch(a *Attachment, stream transport.SendStream, header *wire.UplinkHeader) {
	frame, err := wire.Append(nil, header)
	for ok := true; err == nil && ok; {
		if _, err = stream.Write(frame); err == nil {
			frame, ok, err = s.nextFrame(a, frame[:0], header.Branch)
		}
	}
}

// nextFrame waits for rows that were not sent on this branch and encodes as
// many as fit a frame.
func (s *Session) nextFrame(a *Attachment, dst []byte, branch uint32) (frame []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.at == a && s.lineage.current == branch && s.next >= s.rows.end() {
		s.wake.Wait()
	}
	if s.at != a || s.lineage.current != branch {
		return nil, false, nil
	}
	frame, n, err := s.frame(dst)
	if err == nil && n == 0 {
		err = fmt.Errorf("the row of position %d is not in memory", s.next)
	}
	if err != nil {
		return nil, false, fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.next += n
	s.stats.Rows += uint64(n)
	s.stats.Bytes += uint64(len(frame))
	return frame, true, nil
}

// frame appends a message of the next n rows to dst; mu is held.
func (s *Session) frame(dst []byte) (frame []byte, n int, err error) {
	if s.opt.Tokens {
		s.rows.view(s.next, frameRows/4, func(rows []float32) {
			n = len(rows)
			frame, err = wire.Append(dst, wire.NewTokens(uint64(s.next), tokenIDs(rows)))
		})
		return frame, n, err
	}
	width := s.opt.Width
	s.rows.view(s.next, max(frameRows/s.encoding.RowBytes(width), 1), func(rows []float32) {
		n = len(rows) / width
		frame, err = wire.Append(dst, wire.EncodeHidden(uint64(s.next), width, rows, s.encoding))
	})
	return frame, n, err
}
