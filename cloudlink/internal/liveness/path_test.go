package liveness

import (
	"testing"
	"time"

	"skerry/cloudlink/transport"
)

// TestPathOfSmallPackets tells a path that loses all but small packets from one that
// is slow, lossy or held up by the cloud.
func TestPathOfSmallPackets(t *testing.T) {
	for _, c := range []struct {
		name     string
		receipts time.Duration // how far apart they come, 0: none comes
		lost     uint64        // packets, each Tick
		window   uint64
		rtt      time.Duration
		want     bool
	}{
		{"a black hole for large packets", 0, 1, 2872, 20 * time.Millisecond, true},
		{"the same, far away", 0, 1, 4517, 400 * time.Millisecond, true},
		{"before congestion control is down", 0, 1, 38400, 20 * time.Millisecond, false},
		{"held up by the cloud", 0, 0, 2872, 20 * time.Millisecond, false},
		{"lossy and slow, but it arrives", time.Second, 1, 2872, 500 * time.Millisecond, false},
		{"so slow that a frame takes long", 15 * time.Second, 1, 2872, 2 * time.Second, false},
	} {
		var p Path
		start := time.Unix(1000, 0)
		st, got, since := transport.Stats{SmoothedRTT: c.rtt, Window: c.window}, false, start
		for n := range 400 {
			now := start.Add(time.Duration(n) * Tick)
			if st.PacketsLost += c.lost; c.receipts > 0 && now.Sub(since) >= c.receipts {
				since = now
			}
			p.Step(since, st)
			got = got || p.Swallows(now, st)
		}
		if got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
