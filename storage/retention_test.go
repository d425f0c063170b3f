package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func ids(db *DB) (out []string) {
	for _, m := range db.Sessions() {
		out = append(out, m.ID)
	}
	slices.Sort(out)
	return out
}

func TestSessionsAgeOut(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, Options{})
		logs := map[string]*SessionLog{}
		for _, id := range []string{"old", "used", "new"} {
			var err error
			logs[id], err = db.CreateSession(SessionMeta{ID: id})
			must0(t, err, logs[id].Append(0, []int32{1, 2}))
		}
		time.Sleep(20 * time.Hour)
		must0(t, logs["used"].Append(2, []int32{3}))
		must0(t, db.DeleteSession("new"), db.Close())
		time.Sleep(5 * time.Hour)
		db = open(t, path, Options{})
		if got := ids(db); !slices.Equal(got, []string{"used"}) {
			t.Fatalf("after 25 h: %v", got)
		}
		if left, err := db.scan(tokenBucket, ""); err != nil || len(left) != 1 {
			t.Fatalf("%d records of tokens left, %v", len(left), err)
		}
		time.Sleep(25 * time.Hour)
		_, err := db.CreateSession(SessionMeta{ID: "next"})
		must0(t, err)
		if got := ids(db); !slices.Equal(got, []string{"next"}) {
			t.Fatalf("another day on: %v", got)
		}
	})
}

// TestClockBehind opens a file that is from the future, as a board without a
// battery clock does: its sessions have a day from then on.
func TestClockBehind(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	_, err := db.CreateSession(SessionMeta{ID: "a"})
	must0(t, err, db.Close())
	synctest.Test(t, func(t *testing.T) { // it is the year 2000 in here
		db := open(t, path, Options{})
		time.Sleep(23 * time.Hour)
		_, err := db.CreateSession(SessionMeta{ID: "b"})
		if must0(t, err); len(ids(db)) != 2 {
			t.Fatalf("%v", ids(db))
		}
		time.Sleep(2 * time.Hour)
		_, err = db.CreateSession(SessionMeta{ID: "c"})
		if must0(t, err); !slices.Equal(ids(db), []string{"b", "c"}) {
			t.Fatalf("%v", ids(db))
		}
	})
}

func TestSessionsKeepToTheirRoom(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, Options{KeepBytes: 20_000})
		for i := range 10 {
			time.Sleep(time.Second)
			log, err := db.CreateSession(SessionMeta{ID: fmt.Sprint(i)})
			must0(t, err, log.Append(0, make([]int32, 1000)))
			_, err = db.OpenSession("0")
			must0(t, err)
		}
		time.Sleep(time.Second)
		_, err := db.CreateSession(SessionMeta{ID: "last"})
		must0(t, err)
		if got := ids(db); !slices.Equal(got, []string{"0", "7", "8", "9", "last"}) || db.bytes > 20_000 {
			t.Fatalf("%d bytes of %v", db.bytes, got)
		}
		time.Sleep(time.Second)
		log, err := db.OpenSession("9")
		must0(t, err, log.Append(1000, make([]int32, 100_000)))
		if got := ids(db); !slices.Equal(got, []string{"9"}) {
			t.Fatalf("beside a session larger than the room: %v", got)
		}
		time.Sleep(time.Second)
		if _, err := db.CreateSession(SessionMeta{ID: "after"}); err != nil || !slices.Equal(ids(db), []string{"after"}) {
			t.Fatalf("a session larger than the room: %v, %v", ids(db), err)
		}
		if err := log.Append(101_000, []int32{1}); !errors.Is(err, ErrNoSession) {
			t.Fatalf("appended to a dropped session: %v", err)
		}
	})
}

func TestTransientSessions(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, Options{})
		log, err := db.CreateSession(SessionMeta{ID: "once", Transient: true})
		must0(t, err, log.Append(0, []int32{1}), log.Sync(), log.End(), log.End())
		cut, err := db.CreateSession(SessionMeta{ID: "cut", Transient: true})
		must0(t, err, cut.Append(0, []int32{1}), db.Close())
		db = open(t, path, Options{})
		if got := ids(db); !slices.Equal(got, []string{"cut"}) {
			t.Fatalf("%v; the client of the cut answer may still come back", got)
		}
		must0(t, db.Close())
		time.Sleep(2 * time.Hour)
		if db = open(t, path, Options{}); len(ids(db)) != 0 {
			t.Fatal("an unfinished answer is kept for ever")
		}
	})
}

func TestNamesAreChecked(t *testing.T) {
	db := open(t, board(t), Options{})
	for _, id := range []string{"", "a\x00b", "line\nfeed", string(make([]byte, 200)), "\xff"} {
		if _, err := db.CreateSession(SessionMeta{ID: id}); !errors.Is(err, ErrName) {
			t.Errorf("session %q: %v", id, err)
		}
		if err := db.PutTicket(id, nil); !errors.Is(err, ErrName) && len(id) < 200 {
			t.Errorf("cloud %q: %v", id, err)
		}
	}
	log, err := db.CreateSession(SessionMeta{ID: "ä ö", Mode: "\xff not text"})
	must0(t, err, db.Close())
	db = open(t, db.path, Options{})
	if log, err = db.OpenSession(log.ID()); err != nil {
		t.Fatal(err)
	}
	if m, _ := log.Meta(); m.Mode != "\xff not text" {
		t.Fatalf("%q", m.Mode)
	}
}
