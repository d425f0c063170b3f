package partition

import (
	"time"
)

const (
	// patience is how long a session whose queue is full waits behind asks
	// before it counts as one of them.
	patience = time.Second
	// recently is how long after its last ask a session counts as one that may
	// ask again at any time.
	recently = 2 * time.Second
)

// plan fills b with the work there is: sequences to free, positions to forget,
// and rows: those that asks wait for first, then those that only keep a queue
// short. It returns when there may be more without anyone's doing, zero for
// never. mu is held.
func (s *scheduler) plan(b *batch, now time.Time) (later time.Time) {
	b.reset()
	for _, t := range s.tails {
		switch {
		case t.closed:
			if t.seq >= 0 {
				b.cuts = append(b.cuts, cut{t.seq, 0})
			}
			b.freed = append(b.freed, t)
		case t.failed:
		case t.seq < 0:
			if t.wants() > 0 {
				s.house(t, now)
			}
		case t.cut >= 0:
			b.cuts = append(b.cuts, cut{t.seq, t.cut})
			s.keep(t, min(t.held, t.cut))
			t.cut = -1
		}
	}
	lanes, later := s.survey(now)
	if len(lanes) == 0 {
		return later
	}
	room := distribute(&s.now, lanes, s.room(now))
	for _, l := range lanes {
		l.want = 0
		for _, t := range l.tails {
			t.want = t.idle
			l.want += t.idle
		}
	}
	distribute(&s.now, lanes, room)
	for _, l := range lanes {
		for _, t := range l.tails {
			b.add(t, t.granted)
			s.keep(t, max(t.held, t.queue.Base()))
			s.spend(t, t.granted, now)
		}
	}
	return later
}

// survey returns the lanes that have something to do, with what asks wait for
// as their want, and when the quota of one held back allows more. mu is held.
func (s *scheduler) survey(now time.Time) (lanes []*lane, later time.Time) {
	for _, t := range s.tails {
		if t.closed || t.failed || t.seq < 0 || !t.need(now) {
			continue
		}
		l := t.lane
		if at := l.account.allowedAt(now); at.After(now) {
			if later.IsZero() || at.Before(later) {
				later = at
			}
			continue
		}
		if !l.gathered {
			l.gathered = true
			l.want, l.deadline, l.tails = 0, time.Time{}, l.tails[:0]
			lanes = append(lanes, l)
		}
		l.tails = append(l.tails, t)
		l.want += t.want
		if t.want > 0 && t.before(&l.flow) && !t.deadline.IsZero() {
			l.deadline = t.deadline
		}
	}
	for _, l := range lanes {
		l.gathered = false
	}
	return lanes, later
}

// need works out what t wants of the stage: rows that asks wait for as its
// want, and rows that nobody is in a hurry for as its idle.
func (t *tail) need(now time.Time) bool {
	base, end := t.queue.Base(), t.queue.Base()
	t.deadline, t.granted = time.Time{}, 0
	ahead := false // an ask waits for rows that have not come
	for _, a := range t.asks {
		switch {
		case a.Branch != t.branch || !t.started || a.expired(now):
		case a.pos() >= t.queue.End():
			ahead = true
		default:
			end = max(end, a.pos()+1)
			if !a.until.IsZero() && (t.deadline.IsZero() || a.until.Before(t.deadline)) {
				t.deadline = a.until
			}
		}
	}
	all := t.wants()
	switch {
	case !t.full():
		t.fullAt = time.Time{}
	case t.fullAt.IsZero():
		t.fullAt = now
	}
	if t.full() && (ahead || now.Sub(t.fullAt) >= patience) {
		end = base + all
	}
	t.want = end - base
	t.idle = all - t.want
	return all > 0
}

// room returns how many rows the next pass takes. A session alone may fill it;
// with others about, a pass is short enough for their next ask to wait it out.
func (s *scheduler) room(now time.Time) int {
	limit, others := s.bundle.Stage.MaxRows(), 0
	for _, t := range s.tails {
		if !t.closed && (len(t.asks) > 0 || now.Sub(t.lastAsk) < recently) {
			others++
		}
	}
	if others < 2 {
		return limit
	}
	return s.pace.room(s.conf.Pass, limit)
}
