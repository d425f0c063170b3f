package monitor

import "time"

const (
	every   = 5 * time.Second              // a point of the history
	points  = int(time.Hour / every)       // kept
	changes = 256                          // of state kept
	keep    = int(time.Hour / time.Minute) // minutes kept for a store that lags
)

// Point is the link at one time.
type Point struct {
	At      time.Time     `json:"at"`
	State   State         `json:"state"`
	RTT     time.Duration `json:"rtt_ns"`
	Dev     time.Duration `json:"rtt_deviation_ns"`
	Loss    float64       `json:"loss"`    // share of packets
	Goodput float64       `json:"goodput"` // bytes a second, 0 while not known
	Queue   time.Duration `json:"queue_ns"`
}

// history is a ring of points and one of changes.
type history struct {
	points  ring[Point]
	changes ring[Change]
	minutes ring[Minute]
	minute  minuteSum
}

func (h *history) change(c Change) {
	h.changes.push(c, changes)
	h.minute.change(c)
}

// sample keeps a point unless the last is still new.
func (h *history) sample(p Point) {
	if last, ok := h.points.last(); ok && p.At.Sub(last.At) < every {
		return
	}
	h.points.push(p, points)
	if done, ok := h.minute.add(p); ok {
		h.minutes.push(done, keep)
	}
}

func (m *Monitor) point(now time.Time) Point {
	e := m.estimates(now)
	return Point{At: now, State: m.state.State, RTT: e.SmoothedRTT, Dev: e.RTTDeviation, Loss: e.Loss, Goodput: e.Goodput, Queue: e.Queue}
}

// History returns the points of the last hour since a time, oldest first, with
// the changes of state.
func (m *Monitor) History(since time.Time) ([]Point, []Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge(m.now())
	return m.log.points.after(func(p Point) bool { return !p.At.Before(since) }),
		m.log.changes.after(func(c Change) bool { return !c.At.Before(since) })
}

// ring keeps the newest of what is pushed.
type ring[T any] struct {
	items []T
	next  int // where the oldest lies once the ring is full
}

func (r *ring[T]) push(v T, size int) {
	if len(r.items) < size {
		r.items = append(r.items, v)
		return
	}
	r.items[r.next] = v
	r.next = (r.next + 1) % size
}

func (r *ring[T]) last() (v T, ok bool) {
	if len(r.items) == 0 {
		return v, false
	}
	return r.items[(r.next+len(r.items)-1)%len(r.items)], true
}

// after returns the items that pass, oldest first.
func (r *ring[T]) after(pass func(T) bool) (out []T) {
	for i := range r.items {
		if v := r.items[(r.next+i)%len(r.items)]; pass(v) {
			out = append(out, v)
		}
	}
	return out
}
