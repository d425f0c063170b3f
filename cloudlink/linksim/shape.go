package linksim

import (
	"math/rand/v2"
	"time"
)

// minQueue is the least a queue holds, in bytes.
const minQueue = 64 << 10

// shaper decides when a packet of one direction arrives, if it does. Packets
// leave in order, each after the time its bits take at the rate, and then take
// half the RTT.
type shaper struct {
	delay time.Duration
	rate  float64 // bit/s, 0 for no limit
	loss  float64
	rng   *rand.Rand
	queue time.Duration // longest wait before the wire; beyond it the tail is dropped
	free  time.Time     // when the wire is free
}

// newShaper holds a queue of one bandwidth-delay product or minQueue,
// whichever is more, as routers are usually sized.
func newShaper(s Spec, seed, direction uint64) *shaper {
	sh := &shaper{rng: rand.New(rand.NewPCG(seed, direction))}
	sh.set(s, time.Time{})
	return sh
}

// set changes the link at the time now. A queue longer than the new one holds
// counts as that long.
func (s *shaper) set(spec Spec, now time.Time) {
	s.delay, s.rate, s.loss, s.queue = spec.RTT/2, spec.Rate, spec.Loss, 0
	if s.rate > 0 {
		s.queue = max(spec.RTT, s.wire(minQueue))
	}
	if end := now.Add(s.queue); s.free.After(end) {
		s.free = end
	}
}

// wire returns how long size bytes take at the rate.
func (s *shaper) wire(size int) time.Duration {
	if s.rate <= 0 {
		return 0
	}
	return time.Duration(float64(size) * 8 / s.rate * float64(time.Second))
}

// admit returns when a packet of size bytes sent now arrives, and false when
// it is lost or the queue is full.
func (s *shaper) admit(now time.Time, size int) (time.Time, bool) {
	if s.queue > 0 && s.free.Sub(now) > s.queue {
		return time.Time{}, false
	}
	at := s.reserve(now, size)
	lost := s.loss > 0 && s.rng.Float64() < s.loss
	return at, !lost
}

// reserve returns when size bytes sent now arrive, however long the queue is.
func (s *shaper) reserve(now time.Time, size int) time.Time {
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(s.wire(size))
	return s.free.Add(s.delay)
}
