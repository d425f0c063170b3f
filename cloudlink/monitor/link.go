package monitor

import (
	"fmt"
	"math"
	"time"
)

// link is what the connection's counters say.
type link struct {
	up     bool
	why    string // it is down
	last   Sample
	rtt    time.Duration // smoothed, 0 while not known
	dev    time.Duration
	min    time.Duration
	loss   float64 // share of packets, smoothed over lossMemory of them
	window uint64
}

// lossMemory is how many packets the share of loss looks back on: 1 of 100 has to
// be told from none.
const lossMemory = 200

// observe takes in counters and reports whether anything was received since the
// last. The connection has smoothed its round trips already.
func (l *link) observe(s Sample) (traffic bool) {
	sent := float64(s.PacketsSent - min(s.PacketsSent, l.last.PacketsSent))
	if lost := float64(s.PacketsLost - min(s.PacketsLost, l.last.PacketsLost)); sent > 0 || lost > 0 {
		sent = max(sent, lost)
		l.loss += (lost/sent - l.loss) * (1 - math.Exp(-sent/lossMemory))
	}
	if s.SmoothedRTT > 0 && (s.SmoothedRTT != l.last.SmoothedRTT || s.RTTDeviation != l.last.RTTDeviation) {
		l.rtt, l.dev = s.SmoothedRTT, s.RTTDeviation
	}
	if s.MinRTT > 0 {
		l.min = s.MinRTT
	}
	l.window = s.Window
	traffic = s.Received != l.last.Received
	l.last = s
	return traffic
}

// probed smooths the round trip of a probe in, as RFC 6298 says.
func (l *link) probed(rtt time.Duration) {
	s := smoothed{mean: l.rtt.Seconds(), dev: l.dev.Seconds(), any: l.rtt > 0}
	s.add(rtt.Seconds())
	l.rtt, l.dev = duration(s.mean), duration(s.dev)
	if l.min == 0 || rtt < l.min {
		l.min = rtt
	}
}

// quality is what a state asks of the link. It is left at thresholds a quarter
// above those it is entered at, so that a link at the edge does not waver.
type quality struct {
	state State
	rtt   time.Duration
	loss  float64
}

const leave = 1.25

// qualities from the best: good costs a reader nothing beside the cloud's
// computing, and loss at which a congestion controller still fills the link; fair
// is the pace of reading aloud, some four tokens a second.
var qualities = [...]quality{
	{Good, 80 * time.Millisecond, 0.01},
	{Fair, 250 * time.Millisecond, 0.05},
}

// verdict is the quality in figures, held against the state at present.
func (l *link) verdict(at State) verdict {
	if l.rtt == 0 {
		return verdict{Fair, "connected, nothing measured yet"}
	}
	reason := fmt.Sprintf("rtt %d ms, loss %s %%", l.rtt.Round(time.Millisecond).Milliseconds(), percent(l.loss))
	for _, q := range qualities {
		slack := 1.0
		if at >= q.state {
			slack = leave
		}
		if float64(l.rtt) <= slack*float64(q.rtt) && l.loss <= slack*q.loss {
			return verdict{q.state, reason}
		}
	}
	return verdict{Poor, reason}
}

func percent(share float64) string {
	if p := 100 * share; p >= 9.95 || p < 0.05 {
		return fmt.Sprintf("%.0f", p)
	}
	return fmt.Sprintf("%.1f", 100*share)
}
