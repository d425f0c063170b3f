package cloudnode

import (
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// A board's status shows in the list of the cloud's operator, and one that
// cannot be read hides no board.
func TestDeviceRow(t *testing.T) {
	s := &wire.Status{Version: "v9", Mode: "collaborative", Health: "ok", BytesUp: 3 << 20, Transport: "tcp",
		Update: &wire.Offered{Number: 3, Version: "1.3.0", State: "refused", Reason: "not signed"}}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	d := trust.Device{Name: "pi", Disclosure: trust.Hidden, Epoch: 7, Expires: now.Add(time.Hour), Seen: now.Add(-5 * time.Minute), Status: b}
	want := "pi hidden enrolled 7 5 min ago v9 collaborative ok 3.1 MB 0 B all 1.3.0 refused: not signed"
	if got := strings.Join(NewDevice(d).cells(now), " "); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r := NewDevice(d)
	if r.Online = true; r.cells(now)[2] != "connected" {
		t.Errorf("a board that is connected: %q", r.cells(now))
	}
	if d.Seen = (time.Time{}); strings.Join(NewDevice(d).cells(now), " ") != "pi hidden enrolled 7 never - - - - - all -" {
		t.Errorf("a board that never connected: %q", NewDevice(d).cells(now))
	}
	fresh := NewDevice(d)
	if fresh.Online = true; strings.Join(fresh.cells(now), " ") != "pi hidden connected 7 no report yet - - - - - all -" {
		t.Errorf("a board that has just connected: %q", fresh.cells(now))
	}
	d.Seen, d.Status, d.Revoked = now.Add(-5*time.Minute), []byte("junk"), true
	if got := strings.Join(NewDevice(d).cells(now), " "); got != "pi hidden revoked 7 5 min ago - - - - - all -" {
		t.Errorf("%q", got)
	}
	d.Revoked = false
	if got := NewDevice(d).cells(now.Add(2 * time.Hour))[2]; got != "expired" {
		t.Errorf("%q", got)
	}
}
