package cloudnode

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// TestRollout: boards are told of a bundle once enough workers serve it and not before, those of its
// ring alone, and after the program that they are offered.
func TestRollout(t *testing.T) {
	t.Parallel()
	e, secret, now := fleettest.New(t), fleet.NewSecret(), time.Now().UTC()
	a, b := sharedBy(t, e, "a:1", secret), sharedBy(t, e, "b:1", secret)
	old, next := wire.Hash{1}, wire.Hash{2}
	id := func(h wire.Hash) string { return hex.EncodeToString(h[:]) }
	serves := func(s *sharing, bundles ...wire.Hash) {
		var stages []fleet.Stage
		for _, h := range bundles {
			stages = append(stages, fleet.Stage{Bundle: id(h), Name: map[wire.Hash]string{old: "smol", next: "smol-2"}[h], Weight: 16})
		}
		s.fleet.Update(func(w *fleet.Worker) { w.Stages = stages })
	}
	serves(a, old, next)
	serves(b, old)
	r := &registry{
		Registrar: &trust.Registrar{Store: a.sharedStore, Now: func() time.Time { return now }}, store: a.DeviceStore,
		member: &member{fleet: a.fleet, store: a.sharedStore},
	}
	soon(t, "the workers do not know one another", func() bool { return r.served().workers == 2 && r.served().count(id(old)) == 2 })
	for _, name := range []string{"shed", "attic"} {
		if err := a.PutDevice(enrolled(name, name[0], now)); err != nil {
			t.Fatal(err)
		}
	}
	update := func(q UpdateRequest) []UpdateOffer {
		t.Helper()
		all, err := r.Update(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	told := func(device string) *wire.Offer {
		t.Helper()
		o, err := a.Offer(device, r.ready)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	all := update(UpdateRequest{Ring: "canary", Put: []string{"shed"}, Version: "2.0.0", URL: "https://example.org/bundle", Bundle: "smol-2", Workers: 2})
	if len(all) != 1 || all[0].Bundle != id(next) || all[0].Serving != 1 || !strings.Contains(all[0].progress(), "boards wait") {
		t.Errorf("%+v", all)
	}
	if o := told("shed"); o != nil {
		t.Errorf("a board is told of %+v, which one worker serves", o)
	}
	serves(b, old, next)
	soon(t, "a board is not told of a bundle that enough workers serve", func() bool {
		o := told("shed")
		return o != nil && o.Version == "2.0.0" && o.Bundle == next
	})
	if o := told("attic"); o != nil {
		t.Errorf("a board of another ring is told of %+v", o)
	}

	update(UpdateRequest{Version: "1.3.0", URL: "https://example.org/{board}"})
	if o := told("shed"); o == nil || o.Bundle != (wire.Hash{}) || o.Version != "1.3.0" {
		t.Errorf("before the program: %+v", o)
	}
	st := wire.Status{Version: "1.3.0", Mode: "auto", Health: "ok"}
	text, err := st.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.SawDevice("shed", text, now); err != nil {
		t.Fatal(err)
	}
	if o := told("shed"); o == nil || o.Bundle != next {
		t.Errorf("after the program: %+v", o)
	}
	soon(t, "the other worker does not know the offer", func() bool { all, err := b.Offers(); return err == nil && len(all) == 2 })
	if all := update(UpdateRequest{Ring: "canary", Bundle: "smol-2", Withdraw: true}); len(all) != 1 || all[0].Bundle != "" {
		t.Errorf("withdrawn: %+v", all)
	}
	for what, q := range map[string]UpdateRequest{
		"they serve smol, smol-2": {Version: "2.0.0", URL: "https://example.org/x", Bundle: "large"},
		"give its version":        {Bundle: "smol"},
		"--bundle":                {Version: "2.0.0", URL: "https://example.org/x", Workers: 2},
	} {
		if _, err := r.Update(t.Context(), q); !errors.Is(err, ErrUpdate) || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v, want %q", q, err, what)
		}
	}
	if _, err := (&registry{Registrar: r.Registrar, store: b.DeviceStore}).served().find(strings.Repeat("ab", 32)); err != nil {
		t.Errorf("by its id: %v", err)
	}
}
