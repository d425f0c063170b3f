package monitor

import (
	"math"
	"time"
)

// AskCost is what an ask cost.
type AskCost struct {
	Queue   time.Duration // in the cloud, from having all rows to computing
	Compute time.Duration // of forward passes
	Rows    int           // computed for it
	// Took is the whole, from asking to having the answer, and Predicted what
	// Predict had said of it; either 0 where not known.
	Took, Predicted time.Duration
}

// Ask is an ask whose cost is to be predicted.
type Ask struct {
	// Bytes have to go up before it can be answered, its own row included, that no
	// receipt has confirmed; the link has carried them for Since (Uplink.Waiting).
	Bytes int
	Since time.Duration
	Rows  int // that the cloud has to compute for it, its own included
	// Board is what the board computes before it can take the answer in: its own
	// backlog, worked off while it waits.
	Board time.Duration
}

// cloudCost is what the cloud reports of itself.
type cloudCost struct {
	compute BatchCost
	at      time.Time // of the last answer
	queue   smoothed  // seconds
	queued  time.Time // of the last report
}

const (
	// stale is how long the cost of computing is believed without an answer: a
	// cloud that was too slow is asked again then.
	stale = 30 * time.Second
	// queueLife is the time in which half of a queue that is no longer reported
	// counts as worked off.
	queueLife = 2 * time.Second
	// minGoodput bounds what one bad minute can make of a prediction, bytes/s.
	minGoodput = 100
	// toP90 turns a mean deviation into the distance of the 90th percentile from
	// the mean, of a normal distribution: 1.28 standard deviations of 1.25 mean
	// deviations each.
	toP90 = 1.6
)

// queueAt is the queue to expect now, in seconds.
func (c *cloudCost) queueAt(now time.Time) float64 {
	return c.queue.mean * math.Exp2(-now.Sub(c.queued).Seconds()/queueLife.Seconds())
}

func (c *cloudCost) queueSays(now time.Time, q time.Duration) {
	c.queue.mean = c.queueAt(now)
	c.queue.add(q.Seconds())
	c.queued = now
}

// Answered takes in what an ask cost.
func (m *Monitor) Answered(a AskCost) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.cloud.compute.Observe(a.Rows, a.Compute)
	m.cloud.at = now
	m.cloud.queueSays(now, a.Queue)
	if a.Took > 0 && a.Predicted > 0 {
		m.missed(a.Took.Seconds(), a.Predicted.Seconds())
	}
	m.probes.traffic(now)
}

// missed learns from an ask that took other than predicted, in seconds. One that
// took far longer, as when a packet is lost twice, counts as twice the prediction:
// it is not among nine of ten.
func (m *Monitor) missed(took, predicted float64) {
	bias := max(m.off.mean, 0) // that the prediction had taken in
	m.off.any = true           // before the first it was believed to the letter
	m.off.add(min(took, 2*predicted) - predicted + bias)
}

// Receipt takes in a receipt of the cloud.
func (m *Monitor) Receipt(r Receipt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.goodput.observe(r)
	if r.Queue >= 0 {
		m.cloud.queueSays(now, r.Queue)
	}
	m.probes.traffic(now)
}

// Predict returns what an ask is expected to cost now, and by how much more nine
// of ten such asks stay under: a round trip, the bytes ahead of it over the
// goodput, the cloud's queue and computing, and a retransmission as often as
// packets are lost. It is not known while the link is down, before the first
// answer, and when that lies too far back.
func (m *Monitor) Predict(a Ask) (cost, spread time.Duration, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	compute, off, measured := m.cloud.compute.Cost(max(a.Rows, 1))
	if !m.link.up || m.link.rtt == 0 || !measured || now.Sub(m.cloud.at) > stale {
		return 0, 0, false
	}
	rtt, dev := m.link.rtt.Seconds(), m.link.dev.Seconds()
	again := rtt + 4*dev // the probe timeout of RFC 9002, section 6.2.1
	seconds := rtt + m.upload(a) + m.cloud.queueAt(now) + compute.Seconds() + 2*m.link.loss*again
	seconds = max(seconds+max(m.off.mean, 0), a.Board.Seconds())
	deviation := math.Sqrt(dev*dev + off.Seconds()*off.Seconds() + m.off.dev*m.off.dev)
	return duration(seconds), duration(toP90 * deviation), true
}

// upload is how long the bytes of an ask take beyond a round trip, in seconds: all
// but what should have arrived by now, half a round trip after it was sent. While
// no goodput is known, a window goes up each round trip.
func (m *Monitor) upload(a Ask) float64 {
	rtt := m.link.rtt.Seconds()
	rate := m.goodput.rate.mean
	if rate == 0 {
		rate = float64(m.link.window) / rtt
	}
	if rate == 0 {
		return 0
	}
	return max(float64(a.Bytes)/max(rate, minGoodput)-max(a.Since.Seconds()-rtt/2, 0), 0)
}
