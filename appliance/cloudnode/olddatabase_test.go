package cloudnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

// TestOldDatabase: a database of the version that storage/testdata/make.sh names opens, and
// everything is found in it: at once, after something was written, and after a compaction.
func TestOldDatabase(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile("../../storage/testdata/cloud.db")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cloud.db"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"opening", "a write", "a compaction"} {
		store, err := OpenDeviceStore(dir, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if aside := store.SetAside(); aside != "" {
			t.Fatalf("it is taken for damaged and lies at %s", aside)
		}
		devices, err := store.Devices()
		var got []string
		for _, d := range devices {
			got = append(got, fmt.Sprint(d.Name, d.Disclosure, d.Revoked, d.Epoch, len(d.Status), d.Key != [32]byte{}, d.Enrolled.Year(), d.Expires.Year()))
		}
		slices.Sort(got)
		if want := []string{"barnhiddentrue 64 0 true 2026 2027", "milltextfalse 0 0 true 2026 2027", "shedtextfalse 64 133 true 2026 2027"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("after %s the devices are %q, want %q, %v", after, got, want, err)
		}
		invites, err := store.Invites()
		got = nil
		var open [32]byte
		for _, i := range invites {
			got = append(got, fmt.Sprint(i.Name, i.Disclosure, i.Made.Year(), i.Expires.Year(), !i.Used.IsZero(), i.Withdrawn))
			if i.Name == "open" {
				open = i.Hash
			}
		}
		slices.Sort(got)
		want := []string{"2026 2027 false false", "barnhidden2026 2026 true false", "gone2026 2026 true true", "mill2026 2026 true false", "mill2026 2026 true false", "openhidden2026 2027 false false", "shedtext2026 2026 true false"}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("after %s the invitations are %q, want %q, %v", after, got, want, err)
		}
		if keys, err := store.TicketKeys(); len(keys) != 1 || err != nil {
			t.Errorf("after %s: %d keys of tickets, %v", after, len(keys), err)
		}
		if _, err := store.Admitted("barn"); err == nil {
			t.Errorf("after %s the board that was revoked is admitted", after)
		}
		if may, err := store.Admitted("shed"); may != "text" || err != nil {
			t.Errorf("after %s shed may send %q, %v", after, may, err)
		}
		if highest, raised, err := store.RaiseEpoch("shed", 3); highest != 64 || raised || err != nil {
			t.Errorf("after %s: the highest connection of shed is %d, %v, %v", after, highest, raised, err)
		}
		switch after {
		case "opening":
			for _, d := range devices { // as they are, in the form of now
				if d.Revoked {
					err = errors.Join(err, store.RevokeDevice(d.Name))
				} else {
					err = errors.Join(err, store.PutDevice(d))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		case "a write":
			err = store.Compact()
		case "a compaction":
			if i, uerr := store.UseInvite(open, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)); uerr != nil || i.Disclosure != trust.Hidden {
				t.Errorf("%+v, %v", i, uerr)
			}
		}
		if err := errors.Join(err, store.Check(), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
