package monitor

import "time"

// Receipt is what the cloud confirmed of a session's upload.
type Receipt struct {
	Bytes uint64        // received so far
	Time  time.Duration // when the last of them came, by the cloud's clock
	Busy  bool          // the link alone decided when: see Uplink.Confirmed
	Queue time.Duration // work ahead of this session in the cloud, negative: not said
}

// goodput is the rate at which uploads arrive. A rate tells of the link only while
// the sender kept it busy; where it did not, the link may surpass it, and the rate
// is only taken in when it is higher (the application-limited samples of
// draft-ietf-ccwg-bbr, section 4.1.2).
type goodput struct {
	rate smoothed // bytes a second
	last Receipt
	any  bool // last is of this connection
	// What arrived, and in what time, since the last rate; busy throughout.
	bytes uint64
	took  time.Duration
	busy  bool
}

const (
	goodputBytes = 8 << 10                // that make a rate: less may be one burst
	goodputTime  = 100 * time.Millisecond // or so long a time, on a busy link
	// goodputGap parts one upload from the next.
	goodputGap = 5 * time.Second
)

func (g *goodput) restart() { g.any, g.bytes, g.took = false, 0, 0 }

func (g *goodput) observe(r Receipt) {
	bytes, took := r.Bytes-g.last.Bytes, r.Time-g.last.Time
	if !g.any || r.Bytes < g.last.Bytes || took < 0 || took > goodputGap {
		g.restart()
		g.last, g.any = r, true
		return
	}
	if r.Busy != g.busy {
		g.bytes, g.took, g.busy = 0, 0, r.Busy
	}
	g.bytes, g.took, g.last = g.bytes+bytes, g.took+took, r
	if g.took == 0 || g.bytes < goodputBytes && !(g.busy && g.took >= goodputTime) {
		return
	}
	if rate := float64(g.bytes) / g.took.Seconds(); g.busy || g.rate.any && rate > g.rate.mean {
		g.rate.add(rate)
	}
	g.bytes, g.took = 0, 0
}
