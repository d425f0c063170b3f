package cloudlink

import (
	"fmt"

	"skerry/cloudlink/wire"
)

// frameRows is the payload a Hidden frame is filled up to, in bytes: enough to
// make headers cheap, little enough that a branch left behind wastes little.
const frameRows = 32 << 10

// feed owns the uplinks: one stream per branch, fed as rows are appended.
func (s *Session) feed() {
	for left := -1; ; {
		header, ok := s.nextBranch(left)
		if !ok {
			return
		}
		left = int(header.Branch)
		stream, err := s.client.conn.OpenUniStream(s.ctx, UrgencyUplink)
		if err != nil {
			s.end(s.client.lost(err)) // no effect when the session ended first
			return
		}
		if s.adopt(stream, header.Branch) {
			s.feedBranch(stream, header)
		}
	}
}

// nextBranch waits until the current branch is another than the one left.
func (s *Session) nextBranch(left int) (*wire.UplinkHeader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && int(s.lineage.current) == left {
		s.wake.Wait()
	}
	if s.err != nil {
		return nil, false
	}
	s.next = s.rows.Base()
	return &wire.UplinkHeader{Ref: s.ref(s.lineage.current, s.next), Keep: uint64(s.keep)}, true
}

// adopt makes stream the uplink that Truncate resets, unless the branch has
// changed already.
func (s *Session) adopt(stream SendStream, branch uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.lineage.current != branch {
		stream.CancelWrite(CodeBranch)
		return false
	}
	s.uplink = stream
	return true
}

// feedBranch writes until the branch changes, the session ends or the cloud
// stops reading; then the reason comes on the session stream.
func (s *Session) feedBranch(stream SendStream, header *wire.UplinkHeader) {
	frame, err := wire.Append(nil, header)
	for ok := true; err == nil && ok; {
		if _, err = stream.Write(frame); err == nil {
			frame, ok, err = s.nextFrame(frame[:0], header.Branch)
		}
	}
}

// nextFrame waits for rows that were not sent on this branch and encodes as
// many as fit a frame.
func (s *Session) nextFrame(dst []byte, branch uint32) (frame []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.lineage.current == branch && s.next >= s.rows.End() {
		s.wake.Wait()
	}
	if s.err != nil || s.lineage.current != branch {
		return nil, false, nil
	}
	width := s.opt.Width
	rows := s.rows.Peek(s.next, max(frameRows/(4*width), 1))
	frame, err = wire.Append(dst, wire.NewHidden(uint64(s.next), width, rows))
	if err != nil {
		return nil, false, fmt.Errorf("session %s: %w", s.opt.ID, err)
	}
	s.next += len(rows) / width
	s.stats.Rows += uint64(len(rows) / width)
	s.stats.Bytes += uint64(len(frame))
	return frame, true, nil
}
