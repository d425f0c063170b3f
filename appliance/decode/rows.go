package decode

import (
	"cmp"
	"fmt"

	"skerry/cloudlink/hidden"
)

// kept are the hidden states after exit 1 of a session's positions. They are in memory
// once: what the mid stage has not computed yet, what the rest of the model may have to
// compute, and what the cloud may want again are the same rows. The session's own
// goroutine puts them; forks and the session with the cloud read.
type kept struct {
	buffer *hidden.Buffer
	from   int // rows from here up to the session's head are there
}

// Sharer is a Cloud that reads the rows that it may have to send again where the session
// keeps them, in place of a copy of its own. Share comes before the first Append; the
// session truncates the cloud before it puts other rows in the place of some.
type Sharer interface {
	Share(rows *hidden.Buffer) error
}

// share lets the cloud read the rows of the session, if it can.
func (s *Session) share() {
	c, ok := s.cloud.(Sharer)
	if !ok || s.width() == 0 {
		return
	}
	if err := c.Share(s.rows.buffer); err != nil {
		s.giveUpCloud(err)
	}
}

// keepsRows reports whether the hidden states after exit 1 are wanted again: by the cloud,
// or by the rest of the model here.
func (s *Session) keepsRows() bool { return s.cloud != nil && s.cloudErr == nil || s.tail.stage != nil }

// keepRows keeps the hidden states after exit 1 of the positions from head on, for the
// cloud and the rest of the model, of this session and of those forked from it; else
// only for as long as the mid stage has not computed them.
func (s *Session) keepRows(rows []float32) {
	if !s.keepsRows() {
		s.dropRows()
		if s.mid == nil {
			return
		}
	}
	s.rows.buffer.Put(s.head, rows) // a stage returns whole rows
}

// dropRows forgets the rows that nobody wants any more, where they are not kept.
func (s *Session) dropRows() {
	if s.rows.from = s.head; s.mid != nil && !s.whole {
		s.rows.from = min(s.mid.queue.Base(), s.head)
	}
	s.rows.buffer.Forget(s.rows.from)
}

// uploadRows gives the cloud the rows it has not been given yet: those just computed,
// and before them those that came from another session, from disk, or were
// computed in a mode that does not ask.
func (l *loop) uploadRows() {
	if l.cloud == nil || l.cloudErr != nil || !l.mode.Cloud {
		return
	}
	from := l.uploaded
	l.uploaded = l.head
	err := l.resend()
	for pos, rows := range l.rows.buffer.Runs(from, l.head) {
		err = cmp.Or(err, l.cloud.Append(pos, rows))
	}
	if err != nil {
		l.giveUpCloud(err)
	}
}

// cutRows forgets the rows from pos on, in the cloud and here.
func (s *Session) cutRows(pos int) {
	if s.uploaded > pos {
		s.uploaded = pos
		if s.cloud != nil && s.cloudErr == nil {
			if err := s.cloud.Truncate(pos); err != nil {
				s.giveUpCloud(err)
			}
		}
	}
	s.rows.from = min(s.rows.from, pos)
	s.rows.buffer.Truncate(pos)
}

// giveUpCloud has the session go on without the cloud for good.
func (s *Session) giveUpCloud(err error) {
	if s.cloudErr == nil {
		if _, ok := s.cloud.(Sharer); ok {
			s.cloud.Truncate(0) // it reads the session's rows no more
		}
		s.cloudErr, s.uploaded = err, 0
	}
	if !s.keepsRows() {
		s.dropRows()
	}
}

// width of the rows.
func (s *Session) width() int { return s.model.width() }

func (m Model) width() int {
	if len(m.Exits) == 0 {
		return 0
	}
	return m.Exits[0].Stage.Width()
}

// Lost is why the cloud is of no more use to the session, nil while it is.
func (s *Session) Lost() error { return s.cloudErr }

// Renew gives an idle session another cloud, which knows nothing of what the session
// holds: that is forgotten, unless the hidden states are here to be sent again. A draft model
// that was given up is tried again.
func (s *Session) Renew(c Cloud) (err error) {
	if s.tail.stage == nil || s.whole || s.rows.from > 0 {
		err = s.Truncate(0)
	}
	s.cloud, s.cloudErr, s.uploaded, s.cloudTokens = c, nil, 0, nil
	s.RetryDraft()
	s.share()
	s.publish()
	return err
}

// source is where a session takes rows from that it has not computed: another session, or
// a state that was kept.
type source struct {
	buffer *hidden.Buffer
	flat   []float32
	n      int // positions from 0 on of which it has rows
}

// copyTo puts the rows from pos up to end into a session's buffer.
func (r source) copyTo(to *hidden.Buffer, pos, end int) error {
	if end > r.n {
		return fmt.Errorf("rows %d to %d are not there, %d are", pos, end, r.n)
	}
	if r.buffer != nil {
		return r.buffer.CopyTo(to, pos, end)
	}
	w := to.Width()
	return to.Put(pos, r.flat[pos*w:end*w])
}
