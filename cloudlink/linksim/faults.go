package linksim

import (
	"math/rand/v2"
	"time"
)

// Faults are what a link does to datagrams beside Spec. The zero value does
// nothing.
type Faults struct {
	Duplicate float64       // share that arrives twice, 0 to 1
	Reorder   float64       // share that arrives late, 0 to 1
	Late      time.Duration // by how much
	// MTU is the largest packet of IPv4 that passes, in bytes: larger ones vanish
	// without a word. 0: any.
	MTU int
}

// headers are those of IPv4 and UDP, in bytes.
const headers = 20 + 8

// swallows reports whether a datagram of n bytes is too large.
func (f Faults) swallows(n int) bool { return f.MTU > 0 && n+headers > f.MTU }

// draw decides about one packet. It takes the same numbers from rng whatever
// the faults are, so that a seed stays a seed when they change.
func (f Faults) draw(rng *rand.Rand) (late time.Duration, twice bool) {
	twice = rng.Float64() < f.Duplicate
	if rng.Float64() < f.Reorder {
		late = f.Late
	}
	return late, twice
}

// SetFaults sets what happens to datagrams from now on, both ways.
func (l *Link) SetFaults(f Faults) {
	for _, d := range []*direction{l.up, l.back} {
		d.mu.Lock()
		d.faults = f
		d.mu.Unlock()
	}
}

// SetSpec changes the link. What is on its way arrives as it would have.
func (l *Link) SetSpec(spec Spec) {
	l.holes.L.Lock()
	defer l.holes.L.Unlock()
	for _, d := range []*direction{l.up, l.back} {
		d.mu.Lock()
		d.shaper.set(spec, time.Now())
		d.mu.Unlock()
		d.deaf.Store(spec.Loss >= 1)
	}
	l.holes.Broadcast()
}

// Down cuts the link, or mends it. While cut, datagrams vanish both ways, those
// on their way included, and TCP stands still.
func (l *Link) Down(cut bool) { l.Blackhole(cut, cut) }

// Blackhole makes datagrams towards the target, or back, vanish, those on their
// way included; TCP stands still that way.
func (l *Link) Blackhole(up, back bool) {
	l.holes.L.Lock()
	defer l.holes.L.Unlock()
	l.up.hole.Store(up)
	l.back.hole.Store(back)
	l.holes.Broadcast()
}

// BlockUDP lets no datagram through, as a firewall that knows TCP only.
func (l *Link) BlockUDP(block bool) { l.noUDP.Store(block) }
