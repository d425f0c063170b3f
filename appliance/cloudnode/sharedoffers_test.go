package cloudnode

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
)

// offered is what a board is told of at a worker, "" for nothing.
func offered(t *testing.T, s *sharing, device string) string {
	t.Helper()
	o, err := s.Offer(device, func(UpdateOffer) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if o == nil {
		return ""
	}
	return o.Version
}

// An offer that is made at one worker is told at all, to the boards of its ring, with numbers that
// grow whichever worker makes it; so is one that a worker brings from before there were others, or
// that was made while it did not run. One that was taken back stays so.
func TestSharedOffers(t *testing.T) {
	t.Parallel()
	e, secret, now := fleettest.New(t), fleet.NewSecret(), time.Now().UTC()
	a := sharedBy(t, e, "a:1", secret)
	b := sharedBy(t, e, "b:1", secret, func(s *DeviceStore) { // it was alone before
		for _, name := range []string{"shed", "attic"} {
			if err := s.PutDevice(enrolled(name, name[0], now)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutRing("canary", "attic"); err != nil {
			t.Fatal(err)
		}
		if err := s.PutOffer(UpdateOffer{Ring: AllRing, Version: "1.1.0", URL: "https://example.org/1"}, now); err != nil {
			t.Fatal(err)
		}
	})
	told := func(s *sharing, device, version string) func() bool {
		return func() bool { return offered(t, s, device) == version }
	}
	soon(t, "an offer of before is not told", told(a, "shed", "1.1.0"))
	soon(t, "a ring of before is not known", func() bool { ring, err := a.Ring("attic"); return err == nil && ring == "canary" })
	soon(t, "a board of before is not known", func() bool { _, err := a.Admitted("shed"); return err == nil })

	if err := a.PutRing("canary", "shed"); err != nil {
		t.Fatal(err)
	}
	if err := a.PutOffer(UpdateOffer{Ring: "canary", Version: "1.3.0", URL: "https://example.org/3"}, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	soon(t, "an offer of another worker is not told", told(b, "shed", "1.3.0"))
	if err := b.PutOffer(UpdateOffer{Ring: "canary", Version: "1.4.0", URL: "https://example.org/4"}, now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	soon(t, "an offer is not replaced", told(a, "shed", "1.4.0"))
	all, err := a.Offers()
	if err != nil || len(all) != 2 || all[1].Number <= all[0].Number {
		t.Errorf("%+v, %v", all, err)
	}
	if err := b.PutOffer(UpdateOffer{Ring: "canary", Withdrawn: true}, now); err != nil {
		t.Fatal(err)
	}
	if err := b.PutRing(AllRing, "attic"); err != nil {
		t.Fatal(err)
	}
	soon(t, "an offer that was taken back is told", told(a, "shed", "1.1.0"))
	soon(t, "a board is still in a ring", func() bool { ring, err := a.Ring("attic"); return err == nil && ring == AllRing })

	c := sharedBy(t, e, "c:1", secret, func(s *DeviceStore) {
		if err := s.takeOffers(all); err != nil { // it was away when one was taken back
			t.Fatal(err)
		}
		if err := s.PutOffer(UpdateOffer{Ring: AllRing, Version: "1.2.0", URL: "https://example.org/2"}, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	})
	for _, s := range []*sharing{a, b, c} {
		soon(t, "an offer that was made while its worker did not run", told(s, "shed", "1.2.0"))
	}
	if list, err := c.Offers(); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// FuzzOffers reads a list of offers from the bytes, and what is read must survive.
func FuzzOffers(f *testing.F) {
	b, err := json.Marshal([]UpdateOffer{{Ring: "all", Version: "1.3.0", URL: "https://example.org", Number: 7, Bundle: "ab", Workers: 2}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := decodeOffers(body)
		if err != nil {
			return
		}
		all = merged(all)
		b, err := json.Marshal(all)
		if err != nil {
			return // a time that JSON has no words for
		}
		again, err := decodeOffers(b)
		if err != nil || !slices.EqualFunc(all, again, func(a, b UpdateOffer) bool { return a.key() == b.key() && a.Number == b.Number }) {
			t.Fatalf("%+v became %+v, %v", all, again, err)
		}
	})
}
