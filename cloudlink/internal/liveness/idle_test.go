package liveness

import (
	"testing"
	"time"

	"skerry/cloudlink/transport"
)

// TestIdle: boards notice a dead worker over minutes, none later than the cloud's side would and
// none so soon that keeping the connection open takes more packets than it has to.
func TestIdle(t *testing.T) {
	lo, hi := Idle(0), Idle(0.999999)
	if lo < time.Minute || hi > transport.LinkIdle || hi-lo < 2*time.Minute-time.Second {
		t.Errorf("between %v and %v", lo, hi)
	}
}
