package liveness

import (
	"time"

	"skerry/cloudlink/transport"
)

// Of a path that takes small packets and loses large ones, which probes do not
// notice: rows stay without a receipt for pathPatience, or pathTrips round trips,
// while pathLosses packets are lost and congestion control has come down to
// pathWindow, a few packets. A cloud that reads nothing loses none.
const (
	pathPatience = 2 * time.Second
	pathTrips    = 8
	pathLosses   = 3
	pathWindow   = 4 * 1500 // bytes
)

// Path watches what is lost while rows wait for receipts.
type Path struct {
	since time.Time // the wait began
	lost  uint64    // packets, by then
}

// Step takes in since when rows wait, the zero time for not.
func (p *Path) Step(since time.Time, st transport.Stats) {
	if !since.Equal(p.since) {
		*p = Path{since, st.PacketsLost}
	}
}

// Loses reports whether packets were lost all the while.
func (p *Path) Loses(st transport.Stats) bool {
	return !p.since.IsZero() && st.PacketsLost-p.lost >= pathLosses
}

// Swallows reports whether large packets do not get through.
func (p *Path) Swallows(now time.Time, st transport.Stats) bool {
	return p.Loses(st) && now.Sub(p.since) >= max(pathPatience, pathTrips*st.SmoothedRTT) && st.Window <= pathWindow
}

// Carrying is how long so many bytes should take on a connection, by the window that
// congestion control gives it each round trip; 0 where that is not known.
func Carrying(bytes int, st transport.Stats) time.Duration {
	if st.Window == 0 {
		return 0
	}
	return time.Duration(float64(bytes) / float64(st.Window) * float64(st.SmoothedRTT))
}
