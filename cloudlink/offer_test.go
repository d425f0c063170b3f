package cloudlink_test

import (
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

// TestOffer: a board hears of an update when it comes, and of another, or that it was taken
// back, with one of its statuses; what it says of it comes with its own.
func TestOffer(t *testing.T) {
	devices := &memory{}
	var offer atomic.Pointer[wire.Offer]
	first := wire.Offer{Number: 1, Version: "1.3.0", URL: "https://example.org/skerry/arm64", Ring: "canary", From: 120, Until: 240}
	offer.Store(&first)
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, _ := w.link(t)
		defer l.Close()
		l.SetStatus(func() wire.Status {
			o := l.Offer()
			return wire.Status{Version: "1.2.0", Update: &wire.Offered{Number: o.Number, Version: o.Version, State: "waiting"}}
		})
		time.Sleep(time.Minute)
		if got := l.Offer(); got != first {
			t.Errorf("the board heard of %+v", got)
		}
		second := wire.Offer{Number: 2, Version: "1.4.0", URL: "https://example.org/skerry/arm64"}
		offer.Store(&second)
		time.Sleep(12 * time.Minute)
		if got := l.Offer(); got != second {
			t.Errorf("after two statuses the board has heard of %+v", got)
		}
		seen := devices.seen()
		if last, err := wire.DecodeStatus(seen[len(seen)-1]); err != nil || last.Update == nil || last.Update.Number != 2 || last.Update.State != "waiting" {
			t.Errorf("the cloud heard %+v, %v", last, err)
		}
		offer.Store(nil)
		time.Sleep(6 * time.Minute)
		if got := l.Offer(); got != (wire.Offer{}) || !l.Status().Connected || l.Status().Reconnects != 0 {
			t.Errorf("taken back, and the board still has %+v: %+v", got, l.Status())
		}
		// What is taken back while the board is away is taken back once it comes again.
		offer.Store(&second)
		time.Sleep(6 * time.Minute)
		w.router.cut.Store(true)
		time.Sleep(10 * time.Minute)
		if got := l.Offer(); got != second || l.Status().Connected {
			t.Errorf("away, the board has %+v: %+v", got, l.Status())
		}
		offer.Store(nil)
		w.router.cut.Store(false)
		time.Sleep(10 * time.Minute)
		if got := l.Offer(); got != (wire.Offer{}) || !l.Status().Connected {
			t.Errorf("taken back while the board was away, and it still has %+v: %+v", got, l.Status())
		}
	}, func(c *partition.Config) {
		c.Devices = devices
		c.Offer = func(string) *wire.Offer { return offer.Load() }
	})
}
