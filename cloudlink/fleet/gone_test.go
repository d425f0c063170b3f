package fleet_test

import (
	"testing"
	"time"

	"skerry/cloudlink/wire"
)

// A worker gives a board up once it has been away for long, and not while it is connected. A
// board that comes back then is placed anew, with a higher claim, and its session goes on.
func TestBoardGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	b := w.board(t, w.workers[0].addr(), w.workers[1].addr())
	b.say(2)
	o := w.at(t, w.owner(t))
	device := o.fleet.Claims()[0]
	gone := func() bool { return o.server.Away(device, 0) }
	if err := o.fleet.Release(t.Context(), device, gone); err != nil || len(o.fleet.Claims()) != 1 {
		t.Errorf("%v: a board that is connected was given up", err)
	}
	first := claimed(t, o.fleet, device, wire.Follows)
	b.link.Close()
	eventually(t, gone)
	if o.server.Away(device, time.Hour) {
		t.Error("a board that has just gone has been away for an hour")
	}
	if err := o.fleet.Release(t.Context(), device, gone); err != nil || len(o.fleet.Claims()) != 0 {
		t.Errorf("%v: %v is still claimed", err, o.fleet.Claims())
	}
	again := w.board(t, w.workers[1].addr(), w.workers[0].addr())
	again.say(2)
	if second := claimed(t, w.at(t, w.owner(t)).fleet, device, wire.Follows); second <= first {
		t.Errorf("claim %d after %d", second, first)
	}
}
