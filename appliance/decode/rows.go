package decode

import "cmp"

// keepRows keeps the hidden states after exit 1 of the positions from head on, for
// the cloud of this session and of those forked from it.
func (s *Session) keepRows(hidden []float32) {
	if s.cloud != nil && s.lost == nil {
		s.rows = append(s.rows, hidden...)
	}
}

// feed gives the cloud the rows it has not been given yet: those just computed,
// and before them those that came from another session, from disk, or were
// computed in a mode that does not ask.
func (l *loop) feed() {
	if l.cloud == nil || l.lost != nil || l.opt.Mode == Standalone {
		return
	}
	from := l.fed
	l.fed = l.head
	if err := cmp.Or(l.resend(), l.cloud.Append(from, l.rows[from*l.width():])); err != nil {
		l.lose(err)
	}
}

// cutRows forgets the rows from pos on, here and in the cloud.
func (s *Session) cutRows(pos int) {
	if n := pos * s.width(); n < len(s.rows) {
		s.rows = s.rows[:n:n] // what follows goes elsewhere: forks read the old ones
	}
	if s.fed <= pos {
		return
	}
	s.fed = pos
	if s.cloud != nil && s.lost == nil {
		if err := s.cloud.Truncate(pos); err != nil {
			s.lose(err)
		}
	}
}

// lose goes on without the cloud for the rest of the session.
func (s *Session) lose(err error) {
	if s.lost == nil {
		s.lost, s.rows, s.fed = err, nil, 0
	}
}

// width of the rows.
func (s *Session) width() int {
	if len(s.model.Exits) == 0 {
		return 0
	}
	return s.model.Exits[0].Stage.Width()
}

// Lost is why the cloud is of no more use to the session, nil while it is.
func (s *Session) Lost() error { return s.lost }

// Renew gives an idle session another cloud. What the session holds is forgotten:
// the new one knows nothing of it.
func (s *Session) Renew(c Cloud) error {
	err := s.Truncate(0)
	s.cloud, s.lost, s.fed, s.rows, s.told = c, nil, 0, nil, nil
	s.settled()
	return err
}
