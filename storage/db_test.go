package storage

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// open opens the board database at path and closes it at the end of the test.
func open(t testing.TB, path string, opt Options) *DB {
	t.Helper()
	db, err := Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func board(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "board.db") }

// must0 fails the test on any error.
func must0(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsSurvive(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	meta := SessionMeta{ID: "a", Bundle: "b", Mode: "collaborative", Epoch: 7, Options: []byte{1}}
	log, err := db.CreateSession(meta)
	must0(t, err)
	if _, err := db.CreateSession(meta); !errors.Is(err, ErrExists) {
		t.Fatalf("a second one: %v", err)
	}
	var want []int32
	for i := range int32(1000) {
		want = append(want, i*i)
		must0(t, log.Append(int(i), want[i:]))
	}
	must0(t, log.Truncate(600))
	want = append(want[:600], 5, 6, 7)
	must0(t, log.Append(598, want[598:]))
	if err := log.Append(0, []int32{1}); !errors.Is(err, ErrChanged) {
		t.Fatalf("another token: %v", err)
	}
	if err := log.Append(604, []int32{1}); !errors.Is(err, ErrGap) {
		t.Fatalf("a gap: %v", err)
	}
	for range 2 {
		log, err := db.OpenSession("a")
		must0(t, err)
		got, err := log.Tokens()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d tokens, %v", len(got), err)
		}
		m, err := log.Meta()
		if err != nil || m.Branch != 1 || m.Position != 603 || m.Epoch != 7 || m.Mode != "collaborative" || len(m.Options) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		must0(t, db.Close())
		db = open(t, path, Options{})
	}
	must0(t, db.Check(), db.DeleteSession("a"), db.Compact(), db.Check())
	if _, err := db.OpenSession("a"); !errors.Is(err, ErrNoSession) || len(db.Sessions()) != 0 {
		t.Fatalf("deleted: %v", err)
	}
	if db.SetAside() != "" {
		t.Fatal("set aside", db.SetAside())
	}
}

func TestEpochsNeverRepeat(t *testing.T) {
	path := board(t)
	var last uint64
	for range 5 {
		db := open(t, path, Options{})
		for range 70 {
			n, err := db.NextEpoch()
			if err != nil || n <= last {
				t.Fatalf("%d after %d, %v", n, last, err)
			}
			last = n
		}
		last += 1000
		must0(t, db.JumpEpoch(last), db.JumpEpoch(3), db.Close())
	}
	db := open(t, path, Options{})
	if err := db.JumpEpoch(1<<64 - 1); !errors.Is(err, ErrEpoch) {
		t.Fatalf("out of range: %v", err)
	}
}

func TestTickets(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	for _, b := range "abcdef" {
		must0(t, db.PutTicket("one", []byte{byte(b)}), db.PutTicket("two", []byte{byte(b) + 1}))
	}
	for _, want := range "fedc" {
		got, err := db.TakeTicket("one")
		if err != nil || string(got) != string(want) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		must0(t, db.Close())
		db = open(t, path, Options{})
	}
	if got, err := db.TakeTicket("one"); got != nil || err != nil {
		t.Fatalf("one too many: %q, %v", got, err)
	}
	if got, err := db.TakeTicket("two"); string(got) != "g" || err != nil {
		t.Fatalf("the other cloud's: %q, %v", got, err)
	}
}

func TestValues(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	at := time.Date(2026, 11, 24, 20, 0, 0, 123, time.UTC)
	if last, err := db.LastTime(); err != nil || !last.IsZero() {
		t.Fatal(last, err)
	}
	if e, err := db.Enrolment(); err != nil || e != nil {
		t.Fatal(e, err)
	}
	must0(t, db.SaveTime(at), db.PutEnrolment([]byte("x")), db.Close())
	db = open(t, path, Options{})
	if last, err := db.LastTime(); err != nil || !last.Equal(at) {
		t.Fatal(last, err)
	}
	if e, err := db.Enrolment(); err != nil || string(e) != "x" {
		t.Fatal(e, err)
	}
	must0(t, db.ForgetEnrolment())
	if e, err := db.Enrolment(); err != nil || e != nil {
		t.Fatal(e, err)
	}
}
