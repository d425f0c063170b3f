package cloudnode

import (
	"fmt"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/wire"
)

// What came of an update at a board is shown at every worker, and one that says nothing new is not
// told again.
func TestSharedResults(t *testing.T) {
	t.Parallel()
	e, secret, now := fleettest.New(t), fleet.NewSecret(), time.Now().UTC()
	a, b := sharedBy(t, e, "a:1", secret), sharedBy(t, e, "b:1", secret)
	if err := a.PutDevice(enrolled("pi", 1, now)); err != nil {
		t.Fatal(err)
	}
	saw := func(state string, at time.Time) {
		t.Helper()
		s := wire.Status{Version: "1.2.0", Mode: "auto", Health: "ok", Uptime: uint64(at.Unix()), Update: &wire.Offered{Number: 7, Version: "1.3.0", State: state}}
		text, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.SawDevice("pi", text, at); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(s *sharing) Device {
		rows := []Device{{Name: "pi"}}
		if err := (&member{fleet: s.fleet}).shared(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		return rows[0]
	}
	at := now.Truncate(seenEvery).Add(time.Minute - seenOffset("pi"))
	for _, state := range []string{"waiting", "trying", "failed"} {
		at = at.Add(5 * time.Minute)
		saw(state, at)
		soon(t, "another worker does not show "+state, func() bool {
			d := shows(b)
			return d.Status != nil && d.Status.Update.State == state && d.Seen.Equal(at)
		})
	}
	saw("failed", at.Add(5*time.Minute))
	a.sharedStore.mu.Lock()
	waits := len(a.unseen)
	a.sharedStore.mu.Unlock()
	if waits != 0 {
		t.Error("a status that says nothing new is told")
	}
	if _, err := a.fleet.Claim(t.Context(), "pi", "", wire.MovesNot); err != nil {
		t.Fatal(err)
	}
	soon(t, "another worker does not show where a board is", func() bool { return shows(b).Worker == "a:1" })
}

// Boards that say nothing new are told of once an hour, and not all of them in the same minutes.
func TestHoursOfBoards(t *testing.T) {
	status, err := (&wire.Status{Version: "1.2.0", Mode: "auto", Health: "ok"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	const boards = 600
	now := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	told, most, last := 0, 0, map[string]said{}
	for minute := range 121 {
		again := 0
		for i := range boards {
			name := fmt.Sprintf("pi-%d", i)
			is, err := saidIn(name, status, now.Add(time.Duration(minute)*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if minute > 0 && last[name] != is {
				again++
			}
			last[name] = is
		}
		told, most = told+again, max(most, again)
	}
	if told != 2*boards || most > boards/10 {
		t.Errorf("%d told in two hours of %d boards, up to %d in a minute", told, boards, most)
	}
}
