package cloudlink_test

import (
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// TestSmallestPath: QUIC works where packets of IP may have 1280 bytes, the least
// that IPv6 allows, and down to its own least of 1200 bytes in a datagram.
func TestSmallestPath(t *testing.T) {
	for name, most := range map[string]int{"1280 over IPv4": 1280 - 28, "1280 over IPv6": 1280 - 48, "the least": 1200} {
		t.Run(name, func(t *testing.T) {
			inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
				drop := func(p simnet.Packet) bool { return len(p.Data) > most }
				w.router.drop.Store(&drop)
				start := time.Now()
				l, _ := w.link(t)
				defer l.Close()
				if took := time.Since(start); took > time.Second {
					t.Errorf("the first answer took %v", took)
				}
			})
		})
	}
}
