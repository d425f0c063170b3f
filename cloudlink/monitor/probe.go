package monitor

import (
	"fmt"
	"time"
)

const (
	// A link without traffic is probed after firstProbe, then at intervals that
	// double up to idleProbe: some 300 probes a day, of about 200 bytes both ways.
	firstProbe = 10 * time.Second
	idleProbe  = 5 * time.Minute
	// probesLost is how many unanswered probes say that the link is down; after
	// an unanswered one the next is due in retryProbe.
	probesLost = 2
	retryProbe = 2 * time.Second
)

var probesLostReason = fmt.Sprintf("no answer to %d probes", probesLost)

// probes is when the idle link is to be probed.
type probes struct {
	next  time.Time
	pause time.Duration
	lost  int // unanswered in a row
}

// traffic says that something has come from the peer.
func (p *probes) traffic(now time.Time) {
	p.lost, p.pause = 0, firstProbe
	p.next = now.Add(firstProbe)
}

// NextProbe returns when the link is to be probed unless traffic comes first, the
// zero time for not at all.
func (m *Monitor) NextProbe() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.link.up {
		return time.Time{}
	}
	return m.probes.next
}

// Probed takes in the round trip of a probe.
func (m *Monitor) Probed(rtt time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if !m.link.up {
		return
	}
	m.link.probed(rtt)
	p := &m.probes
	p.lost, p.pause = 0, min(2*max(p.pause, firstProbe), idleProbe)
	p.next = now.Add(p.pause)
	m.judge(now)
}

// ProbeLost says that a probe was not answered.
func (m *Monitor) ProbeLost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.probes.lost++
	m.probes.next = now.Add(retryProbe)
	m.judge(now)
}
