package cloudnode

import (
	"errors"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

// TestOffers: a board is told of the newest of what its ring and all are offered; offers have
// numbers that grow, also where the clock goes back, and outlive a restart.
func TestOffers(t *testing.T) {
	state := t.TempDir()
	db, err := OpenDeviceStore(state, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"shed", "attic"} {
		if err := db.PutDevice(trust.Device{Name: name, Disclosure: "hidden", Enrolled: now, Expires: now.AddDate(1, 0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	r := &registry{Registrar: &trust.Registrar{Store: db, Now: func() time.Time { return now }}, store: db}
	ask := func(q UpdateRequest) []UpdateOffer {
		t.Helper()
		list, err := r.Update(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := func(what, device, version, ring string) (number uint64) {
		t.Helper()
		o, err := db.Offer(device, r.ready)
		switch {
		case err != nil:
			t.Fatal(err)
		case o == nil:
			if version != "" {
				t.Errorf("%s: %s is offered nothing", what, device)
			}
			return 0
		case o.Version != version || o.Ring != ring:
			t.Errorf("%s: %s is offered %s of %s, want %s of %s", what, device, o.Version, o.Ring, version, ring)
		}
		return o.Number
	}
	want("at first", "shed", "", "")
	ask(UpdateRequest{Ring: "canary", Put: []string{"shed"}})
	ask(UpdateRequest{Ring: "canary", Version: "1.3.0", URL: "https://example.org/{board}", Window: "23:00-01:30"})
	first := want("a ring", "shed", "1.3.0", "canary")
	want("a ring", "attic", "", "")
	if o, err := db.Offer("shed", r.ready); err != nil || o.From != 23*60 || o.Until != 90 || o.URL != "https://example.org/{board}" {
		t.Errorf("%+v, %v", o, err)
	}
	now = now.Add(-time.Hour)
	ask(UpdateRequest{Version: "1.10.0", URL: "https://example.org/all"})
	if next := want("all", "attic", "1.10.0", AllRing); next <= first {
		t.Errorf("number %d follows %d", next, first)
	}
	want("all, and newer", "shed", "1.10.0", AllRing)
	db.Close()
	if db, err = OpenDeviceStore(state, time.Second); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r.store = db
	want("after a restart", "shed", "1.10.0", AllRing)
	if list := ask(UpdateRequest{Withdraw: true}); len(list) != 1 || list[0].Ring != "canary" {
		t.Errorf("%+v", list)
	}
	want("withdrawn", "attic", "", "")
	want("withdrawn", "shed", "1.3.0", "canary")
	ask(UpdateRequest{Put: []string{"shed"}})
	want("back in all", "shed", "", "")

	for what, q := range map[string]UpdateRequest{
		"use up to 32":    {Ring: "Canary Birds"},
		"hh:mm-hh:mm":     {Version: "1.3.0", URL: "https://example.org/x", Window: "2-4"},
		"no web address":  {Version: "1.3.0", URL: "/etc"},
		"do one of both":  {Version: "1.3.0", URL: "https://example.org/x", Withdraw: true},
		"name its":        {Window: "02:00-04:00"},
		"1.4.0":           {Version: "newest", URL: "https://example.org/x"},
		"skerry cloud de": {Put: []string{"nobody"}},
	} {
		if _, err := r.Update(t.Context(), q); err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "\n") ||
			!errors.Is(err, ErrUpdate) && !errors.Is(err, trust.ErrUnknown) {
			t.Errorf("%+v: %v, want one line with %q", q, err, what)
		}
	}
}
