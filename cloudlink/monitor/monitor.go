package monitor

import (
	"sync"
	"time"
)

// Config of a monitor. The zero value is ready to use.
type Config struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Changed is called when the state has changed. It must return at once and call
	// nothing of the monitor. nil: nobody.
	Changed func()
}

// Monitor judges one link. Its methods may be called concurrently.
type Monitor struct {
	now     func() time.Time
	changed func()

	mu      sync.Mutex // guards all following
	link    link
	goodput goodput
	cloud   cloudCost
	off     smoothed // seconds that answers took beyond their prediction
	probes  probes
	state   judged
	log     history
}

// New returns a monitor of a link that is not up yet.
func New(c Config) *Monitor {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	m := &Monitor{now: c.Now, changed: c.Changed}
	m.state.verdict = verdict{Down, "not connected yet"}
	m.state.reason = m.state.verdict.reason
	return m
}

// Sample is what a connection counts, as RFC 9002 defines it, since it was made.
type Sample struct {
	SmoothedRTT  time.Duration // 0: none yet
	RTTDeviation time.Duration
	MinRTT       time.Duration
	PacketsSent  uint64
	PacketsLost  uint64
	Received     uint64 // packets
	Window       uint64 // congestion window, bytes
}

// Up says that a connection has been made. Its counters start over; what was
// learnt of the cloud stays. It is judged by the Observe that follows.
func (m *Monitor) Up() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link = link{up: true}
	m.goodput.restart()
	m.probes.traffic(m.now())
}

// Down says that the connection is lost, and why.
func (m *Monitor) Down(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link = link{why: reason}
	m.judge(m.now())
}

// Observe takes in the counters of the connection.
func (m *Monitor) Observe(s Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if !m.link.up {
		return
	}
	if m.link.observe(s) {
		m.probes.traffic(now)
	}
	m.judge(now)
}

// State returns the state of the link and the figures it rests on, as "rtt 420
// ms, loss 6 %".
func (m *Monitor) State() (State, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge(m.now())
	return m.state.State, m.state.reason
}

// judge brings the state and the history up to now; mu is held.
func (m *Monitor) judge(now time.Time) {
	change, changed := m.state.settle(now, m.verdict())
	if changed {
		m.log.change(change)
		m.changed()
	}
	m.log.sample(m.point(now))
}

// verdict is what the measurements say at this moment.
func (m *Monitor) verdict() verdict {
	switch {
	case !m.link.up:
		why := m.link.why
		if why == "" {
			why = "not connected yet"
		}
		return verdict{Down, why}
	case m.probes.lost >= probesLost:
		return verdict{Down, probesLostReason}
	}
	return m.link.verdict(m.state.State)
}

// Estimates are the link in figures.
type Estimates struct {
	SmoothedRTT  time.Duration
	RTTDeviation time.Duration
	MinRTT       time.Duration
	Loss         float64 // share of packets, 0 to 1
	Window       uint64  // congestion window, bytes
	Goodput      float64 // bytes a second, 0 while not known
	Queue        time.Duration
	RowCost      time.Duration // the cloud's compute for one row, 0 while not known
	FurtherRow   time.Duration // for each row beyond the first of a batch
}

// Estimates returns what is known of the link now.
func (m *Monitor) Estimates() Estimates {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.estimates(m.now())
}

func (m *Monitor) estimates(now time.Time) Estimates {
	row, _, _ := m.cloud.compute.Cost(1)
	two, _, _ := m.cloud.compute.Cost(2)
	return Estimates{
		SmoothedRTT: m.link.rtt, RTTDeviation: m.link.dev, MinRTT: m.link.min, Loss: m.link.loss, Window: m.link.window,
		Goodput: m.goodput.rate.mean, Queue: duration(m.cloud.queueAt(now)), RowCost: row, FurtherRow: two - row,
	}
}
