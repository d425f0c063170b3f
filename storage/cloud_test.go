package storage

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func openCloud(t testing.TB, path string) *CloudDB {
	t.Helper()
	db, err := OpenCloud(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestDevices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := openCloud(t, path)
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	if _, err := db.Admitted("pi"); !errors.Is(err, ErrNoDevice) {
		t.Fatalf("unknown: %v", err)
	}
	must0(t, db.PutDevice(Device{Name: "pi", May: "hidden", Enrolled: start}), db.SawDevice("pi", []byte("ok"), start))
	if may, err := db.Admitted("pi"); may != "hidden" || err != nil {
		t.Fatal(may, err)
	}
	if h, raised, err := db.RaiseEpoch("pi", 9); h != 9 || !raised || err != nil {
		t.Fatal(h, raised, err)
	}
	must0(t, db.RevokeDevice("pi"), db.RevokeDevice("pi"), db.Close())
	db = openCloud(t, path)
	if h, raised, err := db.RaiseEpoch("pi", 9); h != 9 || raised || err != nil {
		t.Fatal(h, raised, err)
	}
	_, err := db.Admitted("pi")
	var r interface{ Revoked() bool }
	if !errors.Is(err, ErrRevoked) || !errors.As(err, &r) || !r.Revoked() {
		t.Fatalf("revoked: %v", err)
	}
	if err := db.PutDevice(Device{Name: "pi", May: "text", Enrolled: start}); !errors.Is(err, ErrRevoked) {
		t.Fatalf("renewed though revoked: %v", err)
	}
	if err := db.RevokeDevice("nobody"); !errors.Is(err, ErrNoDevice) {
		t.Fatal(err)
	}
	d, err := db.Device("pi")
	if err != nil || d.Epoch != 9 || string(d.Status) != "ok" || !d.Seen.Equal(start) || d.Revoked.IsZero() {
		t.Fatalf("%+v, %v", d, err)
	}
	must0(t, db.PutDevice(Device{Name: "pi", May: "text", Enrolled: d.Revoked.Add(1)}))
	all, err := db.Devices()
	if err != nil || len(all) != 1 || all[0].May != "text" || !all[0].Revoked.IsZero() || all[0].Epoch != 9 {
		t.Fatalf("%+v, %v", all, err)
	}
}

func TestInvitesAreUsedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := openCloud(t, path)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	good, old := sha256.Sum256([]byte("good")), sha256.Sum256([]byte("old"))
	must0(t, db.AddInvite(Invite{Hash: good, Created: now, Expires: now.Add(time.Hour), May: "text"}),
		db.AddInvite(Invite{Hash: old, Created: now, Expires: now}))
	if err := db.AddInvite(Invite{Hash: good}); err == nil {
		t.Fatal("added twice")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	used := 0
	for range 8 {
		wg.Go(func() {
			v, err := db.UseInvite(good, now)
			if err == nil && v.May == "text" {
				mu.Lock()
				used++
				mu.Unlock()
			} else if !errors.Is(err, ErrUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used != 1 {
		t.Fatalf("used %d times", used)
	}
	must0(t, db.Close())
	db = openCloud(t, path)
	for hash, want := range map[[32]byte]error{good: ErrUsed, old: ErrExpired, {}: ErrNoInvite} {
		if _, err := db.UseInvite(hash, now); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	later := now.Add(inviteKeep + time.Minute)
	must0(t, db.AddInvite(Invite{Hash: [32]byte{1}, Created: later, Expires: later.Add(time.Hour)}))
	if all, err := db.Invites(); err != nil || len(all) != 2 {
		t.Fatalf("%d invites, %v", len(all), err) // the one that ended an hour later is still listed
	}
}

func TestTicketKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := openCloud(t, path)
	if keys, err := db.TicketKeys(); keys != nil || err != nil {
		t.Fatal(keys, err)
	}
	must0(t, db.PutTicketKeys([][32]byte{{1}, {2}}), db.Close())
	db = openCloud(t, path)
	if keys, err := db.TicketKeys(); len(keys) != 2 || keys[1][0] != 2 || err != nil {
		t.Fatal(keys, err)
	}
}

// TestOneBadRecord: a flip in one device's record shuts that one out, and no
// other; a revoked one stays shut out.
func TestOneBadRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := openCloud(t, path)
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	must0(t, db.PutDevice(Device{Name: "gone", May: "hidden", Enrolled: start}), db.PutDevice(Device{Name: "good", May: "text", Enrolled: start}),
		db.PutDevice(Device{Name: "bad", May: "text", Enrolled: start}), db.RevokeDevice("gone"), db.RevokeDevice("bad"))
	if _, _, err := db.RaiseEpoch("good", 77); err != nil {
		t.Fatal(err)
	}
	value, err := db.get(deviceBucket, "bad")
	must0(t, err)
	value[len(value)-1] ^= 1
	must0(t, db.keep(change{deviceBucket, "bad", value}), db.Close())
	db = openCloud(t, path)
	if db.SetAside() == "" {
		t.Fatal("a bad record was not noticed")
	}
	may, err := db.Admitted("good")
	if highest, raised, e := db.RaiseEpoch("good", 77); may != "text" || err != nil || raised || highest != 77 || e != nil {
		t.Errorf("the good one: %q, %v; %d, %v, %v", may, err, highest, raised, e)
	}
	if _, err := db.Admitted("gone"); !errors.Is(err, ErrRevoked) {
		t.Errorf("the revoked one: %v", err)
	}
	if _, err := db.Admitted("bad"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("the bad one: %v", err)
	}
}
