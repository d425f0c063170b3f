package storage

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// commits counts the transactions in the file.
func commits(t testing.TB, db *DB) (n int) {
	must0(t, db.view(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }))
	return n
}

// grouped hands f a database with an empty session, in virtual time.
func grouped(t *testing.T, opt Options, f func(t *testing.T, db *DB, log *SessionLog)) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, opt)
		log, err := db.CreateSession(SessionMeta{ID: "a"})
		must0(t, err, db.Sync())
		f(t, db, log)
	})
}

func TestAppendsShareACommit(t *testing.T) {
	for _, c := range []struct {
		durability string
		medium     Medium
		interval   time.Duration
	}{{Auto, Other, 250 * time.Millisecond}, {Auto, SD, 2 * time.Second}, {Auto, EMMC, 2 * time.Second}, {Fast, Other, 2 * time.Second}} {
		if got := (Options{Durability: c.durability}).interval(c.medium); got != c.interval {
			t.Errorf("%s on %s: %v, want %v", c.durability, c.medium, got, c.interval)
		}
	}
	grouped(t, Options{Durability: Fast}, func(t *testing.T, db *DB, log *SessionLog) {
		before := commits(t, db)
		for i := range 19 { // 1.9 s of a token each 100 ms
			must0(t, log.Append(i, []int32{int32(i)}))
			if got, err := log.Tokens(); err != nil || len(got) != i+1 {
				t.Fatalf("a reader sees %d of %d tokens, %v", len(got), i+1, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := commits(t, db) - before; n != 0 {
			t.Fatalf("%d commits within the interval", n)
		}
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		if n := commits(t, db) - before; n != 1 {
			t.Fatalf("%d commits at the end of the interval", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := commits(t, db) - before; n != 1 {
			t.Fatalf("%d commits with nothing to write", n)
		}
		must0(t, log.Append(19, []int32{1}), log.End(), log.End())
		if n := commits(t, db) - before; n != 2 {
			t.Fatalf("%d commits after the end of an answer", n)
		}
	})
}

func TestStrictCommitsEveryAppend(t *testing.T) {
	grouped(t, Options{Durability: Strict}, func(t *testing.T, db *DB, log *SessionLog) {
		before := commits(t, db)
		for i := range 10 {
			must0(t, log.Append(i, []int32{int32(i)}))
		}
		if n := commits(t, db) - before; n != 10 {
			t.Fatalf("%d commits of 10 appends", n)
		}
	})
}

// TestIdleBoardWritesRarely: the history of an idle link wakes no card twice a
// second.
func TestIdleBoardWritesRarely(t *testing.T) {
	grouped(t, Options{}, func(t *testing.T, db *DB, log *SessionLog) {
		before := commits(t, db)
		for range 600 {
			must0(t, db.WriteLazily(NewBucket[string](LinkBucket, nil).Put("minute", "good")), db.SaveTime(time.Now()))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := commits(t, db) - before; n > 10 {
			t.Fatalf("%d commits in 10 minutes", n)
		}
		must0(t, log.Append(0, []int32{1}))
		time.Sleep(db.interval + 1)
		synctest.Wait()
		if db.saved != db.made {
			t.Fatal("a token waited for the history")
		}
	})
}

// TestFullDisk: what cannot be written stays in memory, is said, and is written
// once there is room.
func TestFullDisk(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, path, Options{})
		log, err := db.CreateSession(SessionMeta{ID: "a"})
		must0(t, err, db.Sync())
		limit := func(size int) func() {
			return func() {
				db.committing.Lock()
				defer db.committing.Unlock()
				db.bolt.MaxSize = size
			}
		}
		full(t, db, log, limit(1), limit(0))
	})
}

func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("no small file system to fill: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	synctest.Test(t, func(t *testing.T) {
		db := open(t, dir+"/board.db", Options{})
		log, err := db.CreateSession(SessionMeta{ID: "a"})
		must0(t, err, db.Sync())
		full(t, db, log, func() {}, func() { must0(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m")) })
	})
}

func full(t *testing.T, db *DB, log *SessionLog, fill, free func()) {
	var want []int32
	fill()
	for i := range 300 {
		part := slices.Repeat([]int32{int32(i) << 16}, 1000)
		must0(t, log.Append(len(want), part)) // appending goes on whatever the disk does
		want = append(want, part...)
	}
	if err := log.Sync(); err == nil || db.Err() == nil {
		t.Fatalf("synced to a full disk: %v, %v", err, db.Err())
	}
	if _, err := db.NextEpoch(); err == nil {
		t.Fatal("a number was given out that is not reserved")
	}
	if got, err := log.Tokens(); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d of %d tokens, %v", len(got), len(want), err)
	}
	time.Sleep(10 * db.interval)
	synctest.Wait()
	if db.Err() == nil {
		t.Fatal("no error while the disk is full")
	}
	free()
	time.Sleep(db.interval + 1)
	synctest.Wait()
	must0(t, db.Err(), db.Check(), db.Close())
	again := open(t, db.path, Options{})
	log, err := again.OpenSession("a")
	must0(t, err)
	if got, err := log.Tokens(); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d of %d tokens in the file, %v", len(got), len(want), err)
	}
}

// What a caller's commit could not write is tried again soon, also where the goroutine
// that commits what is due has looked in the midst of it, when nothing was.
func TestFailedCommitIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, board(t), Options{})
		log, err := db.CreateSession(SessionMeta{ID: "a"})
		must0(t, err, db.Sync())
		limit := func(size int) {
			db.committing.Lock()
			defer db.committing.Unlock()
			db.bolt.MaxSize = size
		}
		limit(1)
		must0(t, log.Append(0, make([]int32, 100_000)))
		db.Store.mu.Lock()
		db.Store.due = time.Time{} // as from a commit's beginning to its end
		db.Store.mu.Unlock()
		select {
		case db.kick <- struct{}{}:
		default:
		}
		synctest.Wait()
		if db.Sync() == nil {
			t.Fatal("synced to a full disk")
		}
		limit(0)
		time.Sleep(db.interval + 1)
		synctest.Wait()
		must0(t, db.Err())
	})
}

func TestClosed(t *testing.T) {
	db := open(t, board(t), Options{})
	log, err := db.CreateSession(SessionMeta{ID: "a"})
	must0(t, err, db.Close(), db.Close())
	_, epochErr := db.NextEpoch()
	for i, err := range []error{log.Append(0, []int32{1}), db.PutTicket("c", nil), epochErr, db.SaveTime(time.Now())} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
