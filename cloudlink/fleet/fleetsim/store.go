package fleetsim

import "time"

// store is etcd, as far as its clients see it: it makes so many changes a second, one after the
// other, and a read waits for the changes before it.
type store struct {
	each, alone time.Duration
	free        time.Duration // when the changes that it was asked for are made

	claims, refused, late int
	inSecond, worst       int // claims asked for in this second, and in the worst
	wait                  spread
	written, watched      int // records of workers, and how often watchers were told
	toldSecond, toldWorst int
}

// call reads a claim and, where that is wanted, changes it. It returns when that is done, 0 for
// never, and false where the caller does not wait for so long.
func (s *store) call(now time.Duration, change bool) (done time.Duration, ok bool) {
	if change {
		s.inSecond++
	}
	if s.free-now > callTime { // the read is given up, and nothing is changed
		s.refused++
		return 0, false
	}
	if !change {
		return max(s.free, now+s.alone/2), true
	}
	s.free = max(s.free, now) + s.each
	s.claims++
	done = max(s.free, now+s.alone)
	s.wait.add(done - now)
	if done-now > callTime { // it is made, and nobody waits for it
		s.late++
	}
	return done, done-now <= callTime
}

// write notes that a worker told of itself, which all others watch.
func (s *store) write(watchers int) {
	s.written++
	s.watched += watchers
	s.toldSecond += watchers
}

// second ends a second.
func (s *store) second() (claims int) {
	claims = s.inSecond
	s.worst, s.toldWorst = max(s.worst, s.inSecond), max(s.toldWorst, s.toldSecond)
	s.inSecond, s.toldSecond = 0, 0
	return claims
}
