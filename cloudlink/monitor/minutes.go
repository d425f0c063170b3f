package monitor

import "time"

// Minute is one minute of the link, for a store that keeps a day.
type Minute struct {
	Start   time.Time // a whole minute
	Worst   State     // of the states in it
	Changes int       // of state
	Reason  string    // of the last change, empty where there was none
	// Means over the points that had a round trip.
	RTT, Dev time.Duration
	Loss     float64 // share of packets
	Goodput  float64 // bytes a second
	Queue    time.Duration
}

// Store keeps minutes.
type Store interface {
	AppendLink([]Minute) error
}

// minuteSum gathers the points of one minute.
type minuteSum struct {
	Minute
	n, measured int
}

// add takes a point in and returns the minute before it once that is over.
func (s *minuteSum) add(p Point) (done Minute, ok bool) {
	if start := p.At.Truncate(time.Minute); !start.Equal(s.Start) {
		done, ok = s.mean(), s.n > 0
		pending := s.Minute
		*s = minuteSum{Minute: Minute{Start: start, Worst: p.State}}
		if !ok { // changes came before the first point
			s.Changes, s.Reason = pending.Changes, pending.Reason
		}
	}
	s.n++
	s.Worst = min(s.Worst, p.State)
	if p.RTT > 0 {
		s.measured++
		s.RTT, s.Dev, s.Queue = s.RTT+p.RTT, s.Dev+p.Dev, s.Queue+p.Queue
		s.Loss, s.Goodput = s.Loss+p.Loss, s.Goodput+p.Goodput
	}
	return done, ok
}

func (s *minuteSum) change(c Change) {
	s.Worst = min(s.Worst, c.To)
	s.Changes++
	s.Reason = c.Reason
}

func (s *minuteSum) mean() Minute {
	m := s.Minute
	if n := s.measured; n > 0 {
		m.RTT, m.Dev, m.Queue = m.RTT/time.Duration(n), m.Dev/time.Duration(n), m.Queue/time.Duration(n)
		m.Loss, m.Goodput = m.Loss/float64(n), m.Goodput/float64(n)
	}
	return m
}

// Minutes returns the minutes that are over and forgets them.
func (m *Monitor) Minutes() []Minute {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge(m.now())
	done := m.log.minutes.after(func(Minute) bool { return true })
	m.log.minutes = ring[Minute]{}
	return done
}
