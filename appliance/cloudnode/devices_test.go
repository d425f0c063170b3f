package cloudnode

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
)

func openStore(t testing.TB, dir string) *DeviceStore {
	t.Helper()
	db, err := OpenDeviceStore(dir, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// must0 fails the test on any error.
func must0(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestDevices(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	if _, err := db.Admitted("pi"); !errors.Is(err, partition.ErrUnknownDevice) {
		t.Fatalf("unknown: %v", err)
	}
	must0(t, db.PutDevice(trust.Device{Name: "pi", Disclosure: "hidden", Enrolled: start}), db.SawDevice("pi", []byte("ok"), start))
	if may, err := db.Admitted("pi"); may != "hidden" || err != nil {
		t.Fatal(may, err)
	}
	if h, raised, err := db.RaiseEpoch("pi", 9); h != 9 || !raised || err != nil {
		t.Fatal(h, raised, err)
	}
	must0(t, db.RevokeDevice("pi"), db.RevokeDevice("pi"), db.Close())
	db = openStore(t, dir)
	if h, raised, err := db.RaiseEpoch("pi", 9); h != 9 || raised || err != nil {
		t.Fatal(h, raised, err)
	}
	if _, err := db.Admitted("pi"); !errors.Is(err, partition.ErrRevoked) {
		t.Fatalf("revoked: %v", err)
	}
	if err := db.PutDevice(trust.Device{Name: "pi", Disclosure: "text", Enrolled: start}); !errors.Is(err, trust.ErrRevoked) {
		t.Fatalf("renewed though revoked: %v", err)
	}
	if err := db.RevokeDevice("nobody"); !errors.Is(err, trust.ErrUnknown) {
		t.Fatal(err)
	}
	d, err := db.Device("pi")
	if err != nil || d.Epoch != 9 || string(d.Status) != "ok" || !d.Seen.Equal(start) || !d.Revoked {
		t.Fatalf("%+v, %v", d, err)
	}
	must0(t, db.PutDevice(trust.Device{Name: "pi", Disclosure: "text", Enrolled: time.Now().Add(time.Second)}))
	all, err := db.Devices()
	if err != nil || len(all) != 1 || all[0].Disclosure != "text" || all[0].Revoked || all[0].Epoch != 9 {
		t.Fatalf("%+v, %v", all, err)
	}
}

func TestInvitesAreUsedOnce(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	good, old := sha256.Sum256([]byte("good")), sha256.Sum256([]byte("old"))
	must0(t, db.AddInvite(trust.Invite{Hash: good, Made: now, Expires: now.Add(time.Hour), Disclosure: "text"}),
		db.AddInvite(trust.Invite{Hash: old, Made: now, Expires: now}))
	if err := db.AddInvite(trust.Invite{Hash: good}); err == nil {
		t.Fatal("added twice")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	used := 0
	for range 8 {
		wg.Go(func() {
			v, err := db.UseInvite(good, now)
			if err == nil && v.Disclosure == "text" {
				mu.Lock()
				used++
				mu.Unlock()
			} else if !errors.Is(err, trust.ErrUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used != 1 {
		t.Fatalf("used %d times", used)
	}
	must0(t, db.Close())
	db = openStore(t, dir)
	for hash, want := range map[[32]byte]error{good: trust.ErrUsed, old: trust.ErrExpired, {}: trust.ErrUnknownCode} {
		if _, err := db.UseInvite(hash, now); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	later := now.Add(inviteKeep + time.Minute)
	must0(t, db.AddInvite(trust.Invite{Hash: [32]byte{1}, Made: later, Expires: later.Add(time.Hour)}))
	if all, err := db.Invites(); err != nil || len(all) != 2 {
		t.Fatalf("%d invites, %v", len(all), err) // the one that ended an hour later is still listed
	}
}

func TestTicketKeys(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	if keys, err := db.TicketKeys(); keys != nil || err != nil {
		t.Fatal(keys, err)
	}
	must0(t, db.PutTicketKeys([][32]byte{{1}, {2}}), db.Close())
	db = openStore(t, dir)
	if keys, err := db.TicketKeys(); len(keys) != 2 || keys[1][0] != 2 || err != nil {
		t.Fatal(keys, err)
	}
}

// TestOneBadRecord: a flip in one device's record shuts that one out, and no
// other; a revoked one stays shut out.
func TestOneBadRecord(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	must0(t, db.PutDevice(trust.Device{Name: "gone", Disclosure: "hidden", Enrolled: start}), db.PutDevice(trust.Device{Name: "good", Disclosure: "text", Enrolled: start}),
		db.PutDevice(trust.Device{Name: "bad", Disclosure: "text", Enrolled: start}), db.RevokeDevice("gone"), db.RevokeDevice("bad"))
	if _, _, err := db.RaiseEpoch("good", 77); err != nil {
		t.Fatal(err)
	}
	must0(t, db.Close())
	path := filepath.Join(dir, "cloud.db")
	file, err := os.ReadFile(path)
	must0(t, err)
	for at := 0; ; at += len("bad") {
		i := bytes.Index(file[at:], []byte("bad"))
		if i < 0 {
			break
		}
		at += i
		file[min(at+len("bad")+20, len(file)-1)] ^= 1 // in the record, which follows its key
	}
	must0(t, os.WriteFile(path, file, 0o600))
	db = openStore(t, dir)
	if db.SetAside() == "" {
		t.Fatal("a bad record was not noticed")
	}
	may, err := db.Admitted("good")
	if highest, raised, e := db.RaiseEpoch("good", 77); may != "text" || err != nil || raised || highest != 77 || e != nil {
		t.Errorf("the good one: %q, %v; %d, %v, %v", may, err, highest, raised, e)
	}
	if _, err := db.Admitted("gone"); !errors.Is(err, partition.ErrRevoked) {
		t.Errorf("the revoked one: %v", err)
	}
	if _, err := db.Admitted("bad"); !errors.Is(err, partition.ErrUnknownDevice) {
		t.Errorf("the bad one: %v", err)
	}
}

// A withdrawn invite is good for nothing, after a restart too, and for a program that
// does not know of withdrawing it is a used one; a used one cannot be withdrawn.
func TestInvitesAreWithdrawn(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	hash := func(b byte) [32]byte { return [32]byte{b} }
	for b := range byte(2) {
		must0(t, db.AddInvite(trust.Invite{Hash: hash(b), Made: now, Expires: now.Add(time.Hour)}))
	}
	if _, err := db.UseInvite(hash(0), now); err != nil {
		t.Fatal(err)
	}
	if err := db.WithdrawInvite(hash(0), now); !errors.Is(err, trust.ErrUsed) {
		t.Errorf("a used one: %v", err)
	}
	if err := db.WithdrawInvite(hash(9), now); !errors.Is(err, trust.ErrUnknownCode) {
		t.Errorf("an unknown one: %v", err)
	}
	for range 2 {
		must0(t, db.WithdrawInvite(hash(1), now))
	}
	must0(t, db.Close())
	db = openStore(t, dir)
	if _, err := db.UseInvite(hash(1), now); !errors.Is(err, trust.ErrWithdrawn) {
		t.Errorf("used though withdrawn: %v", err)
	}
	all, err := db.Invites()
	if err != nil || len(all) != 2 || all[0].Withdrawn || !all[1].Withdrawn || all[1].Used.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}
