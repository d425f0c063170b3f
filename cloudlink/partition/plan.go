package partition

import (
	"time"
)

const (
	// maxFullWait is how long a session whose queue is full waits behind asks
	// before it counts as one of them.
	maxFullWait = time.Second
	// askingFor is how long after its last ask a session counts as one that may
	// ask again at any time.
	askingFor = 2 * time.Second
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
				s.assignSequence(t, now)
			}
		case t.cut >= 0:
			b.cuts = append(b.cuts, cut{t.seq, t.cut})
			s.setHeld(t, min(t.held, t.cut))
			t.cut = -1
		}
	}
	later = s.survey(now)
	devices := s.queue.Devices()
	if len(devices) == 0 {
		return later
	}
	room := s.queue.Distribute(s.room(now))
	for _, d := range devices {
		d.Want = 0
		for _, t := range d.Sessions {
			t.Want = t.spare
			d.Want += t.spare
		}
	}
	s.queue.Distribute(room)
	for _, d := range devices {
		for _, t := range d.Sessions {
			n := b.add(t, t.granted)
			s.setHeld(t, max(t.held, t.queue.Base()))
			s.spend(t, n, now)
		}
	}
	return later
}

// survey has the queue hold the sessions that have something to do, each with the rows
// that asks wait for as its want, and returns when the quota of a device that is held
// back allows more, zero where none is. mu is held.
func (s *scheduler) survey(now time.Time) (later time.Time) {
	s.queue.Begin()
	for _, t := range s.tails {
		if t.closed || t.failed || t.seq < 0 || !t.demand(now) {
			continue
		}
		if at := t.device.account.allowedAt(now); at.After(now) {
			if later.IsZero() || at.Before(later) {
				later = at
			}
			continue
		}
		s.queue.Add(&t.device.Device, t)
	}
	return later
}

// demand works out what t wants of the stage: rows that asks wait for as its want, and
// rows that nobody is in a hurry for as its spare.
func (t *tail) demand(now time.Time) bool {
	base, end := t.queue.Base(), t.queue.Base()
	t.Deadline, t.granted = time.Time{}, 0
	ahead := false // an ask waits for rows that have not come
	for _, a := range t.asks {
		switch {
		case a.Branch != t.branch || !t.started || a.expired(now):
		case a.pos() >= t.queue.End():
			ahead = true
		default:
			end = max(end, a.pos()+1)
			if !a.until.IsZero() && (t.Deadline.IsZero() || a.until.Before(t.Deadline)) {
				t.Deadline = a.until
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
	if t.full() && (ahead || now.Sub(t.fullAt) >= maxFullWait) {
		end = base + all
	}
	t.Want = end - base
	t.spare = all - t.Want
	return all > 0
}

// room returns how many rows the next pass takes. A session alone may fill it;
// with others about, a pass is short enough for their next ask to wait it out.
func (s *scheduler) room(now time.Time) int {
	limit, others := s.bundle.Stage.MaxRows(), 0
	for _, t := range s.tails {
		if !t.closed && (len(t.asks) > 0 || now.Sub(t.lastAsk) < askingFor) {
			others++
		}
	}
	if others < 2 {
		return limit
	}
	return s.pace.Room(s.conf.Pass, limit)
}
