package session

import (
	"fmt"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// maxRepeats is how often a cloud may want rows again without answering
// anything in between.
const maxRepeats = 16

// Resend writes the rows from position from on again, on a new branch. The cloud
// keeps what it has computed of them: only bytes repeat. Asks that wait are put
// again on it.
func (s *Session) Resend(from int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if from < 0 || from > s.rows.end() || from < s.rows.base() {
		return fmt.Errorf("session %s: resend from %d, rows %d to %d are in memory", s.opt.ID, from, s.rows.base(), s.rows.end())
	}
	s.rewind = from
	s.repeat(s.rows.end())
	return nil
}

// Wants reports the first position of rows that the cloud has lost and that
// are not in memory. Until they are appended every ask ends with ErrSendFrom.
func (s *Session) Wants() (from int, missing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.wants, 0), s.wants >= 0
}

// repeat starts a branch whose uplink begins at from or below; mu is held.
func (s *Session) repeat(from int) {
	s.branch(from)
	if !s.lacking() {
		s.repeatAsks()
	}
}

// lacking reports whether rows that the cloud needs are not in memory, and ends
// the asks that wait then; mu is held.
func (s *Session) lacking() bool {
	if s.lineage.confirmed >= s.rows.base() {
		return false
	}
	s.wants = s.lineage.confirmed
	s.fail(s.missing())
	return true
}

// missing is the error of asks while rows are wanted; mu is held.
func (s *Session) missing() error {
	return fmt.Errorf("session %s: %w", s.opt.ID, &linkerr.RemoteError{
		Code: wire.CodeSendFrom, Position: s.wants,
		Text: fmt.Sprintf("it has lost the rows from %d on: append them again", s.wants),
	})
}

// sendFrom handles the cloud's word that of the given branch it has only the
// rows below end. It returns an error that ends the attachment.
func (s *Session) sendFrom(a *Attachment, branch uint32, end int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != a || branch != s.lineage.current || s.wants >= 0 {
		return nil // of a branch left since: the one after it says what is missing
	}
	if err := s.countRepeat(end); err != nil {
		return err
	}
	s.lineage.missing(branch, end)
	s.again(end)
	return nil
}

// countRepeat counts that the cloud wants the rows from end on again. It returns an error
// where it may not; mu is held.
func (s *Session) countRepeat(end int) error {
	s.stats.Repeats++
	s.repeats++
	if end > s.rows.end() || s.repeats > maxRepeats || end < s.rows.base() && !s.opt.Durable {
		return &linkerr.RemoteError{Code: wire.CodeSendFrom, Position: end, Text: "hidden states are missing"}
	}
	return nil
}

// again sends the rows from end on again, of which the lineage knows by now that the cloud
// has not got them; mu is held.
func (s *Session) again(end int) {
	s.computed = min(s.computed, end)
	s.gotOn(0)
	s.repeat(end)
}
