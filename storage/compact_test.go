package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "where the treasure lies"

// secretive makes a session that holds the secret in its options, and tokens that are
// like no other's.
func secretive(t *testing.T, db *DB, id string) {
	t.Helper()
	log, err := db.CreateSession(SessionMeta{ID: id, Options: []byte(strings.Repeat(secret, 100))})
	must0(t, err)
	var tokens []int32
	for i := range int32(2000) {
		tokens = append(tokens, 0x5ec0000+i)
	}
	must0(t, log.Append(0, tokens), db.Sync())
}

// holdsSecret looks at every byte of every file in the database's directory.
func holdsSecret(t *testing.T, path string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	must0(t, err)
	// A token in CBOR, as it is in a chunk.
	token := append([]byte{0x1a}, binary.BigEndian.AppendUint32(nil, 0x5ec0000+700)...)
	for _, f := range files {
		data := read(t, f)
		for what, needle := range map[string][]byte{"text": []byte(secret), "tokens": token} {
			if bytes.Contains(data, needle) {
				out = append(out, filepath.Base(f)+" has "+what)
			}
		}
	}
	return out
}

// What was deleted is not left in free pages, whether the database is idle afterwards,
// is written to all the time, is closed, or is killed before the compaction.
func TestForgottenIsErased(t *testing.T) {
	for name, after := range map[string]func(t *testing.T, path string, db *DB, other *SessionLog){
		"idle": func(t *testing.T, path string, db *DB, other *SessionLog) { time.Sleep(10 * time.Second) },
		"busy": func(t *testing.T, path string, db *DB, other *SessionLog) {
			for i := range 400 {
				must0(t, other.Append(i, []int32{int32(i)}))
				time.Sleep(time.Second)
			}
		},
		"closed": func(t *testing.T, path string, db *DB, other *SessionLog) { must0(t, db.Close()) },
		"killed": func(t *testing.T, path string, db *DB, other *SessionLog) {
			left := read(t, path)
			must0(t, db.Close())
			must0(t, os.WriteFile(path, left, 0o600))
			next, err := Open(path, Options{})
			must0(t, err)
			defer next.Close()
			if len(holdsSecret(t, path)) == 0 {
				t.Error("a killed process has compacted")
			}
			time.Sleep(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := board(t)
			synctest.Test(t, func(t *testing.T) {
				db, err := Open(path, Options{})
				must0(t, err)
				defer db.Close()
				secretive(t, db, "s")
				other, err := db.CreateSession(SessionMeta{ID: "other"})
				must0(t, err, db.DeleteSession("s"), db.Sync())
				if len(holdsSecret(t, path)) != 2 {
					t.Fatalf("before the compaction: %v", holdsSecret(t, path))
				}
				after(t, path, db, other)
				if left := holdsSecret(t, path); len(left) > 0 {
					t.Error(left)
				}
				must0(t, db.Close())
				if db, err = Open(path, Options{}); err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				stillThere(t, db)
			})
		})
	}
}

// stillThere checks that nothing but the session that was forgotten is gone.
func stillThere(t *testing.T, db *DB) {
	t.Helper()
	must0(t, db.Check())
	if got := contents(t, db); len(got) != 1 {
		t.Errorf("%d sessions", len(got))
	}
	if v, err := db.get(valueBucket, forgottenKey); v != nil || err != nil {
		t.Errorf("marked: %v, %v", v, err)
	}
}

// Sessions that expire are erased too, those of an hour together.
func TestExpiredIsErased(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(path, Options{KeepFor: time.Hour})
		must0(t, err)
		defer db.Close()
		secretive(t, db, "s")
		time.Sleep(2 * time.Hour)
		_, err = db.CreateSession(SessionMeta{ID: "other"}) // sweeps
		must0(t, err, db.Sync())
		if len(holdsSecret(t, path)) == 0 {
			t.Error("erased at once")
		}
		time.Sleep(70 * time.Minute)
		if left := holdsSecret(t, path); len(left) > 0 {
			t.Error(left)
		}
	})
}

// The file shrinks when it is mostly free and nobody writes, and not before.
func TestIdleShrinks(t *testing.T) {
	path := board(t)
	size := func(t *testing.T) int64 {
		st, err := os.Stat(path)
		must0(t, err)
		return st.Size()
	}
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(path, Options{})
		must0(t, err)
		defer db.Close()
		var changes []Change
		for i := range 4000 {
			key := fmt.Sprintf("filler %04d", i)
			changes = append(changes, Change{valueBucket, key, seal(key, bytes.Repeat([]byte{1}, 1000))})
		}
		must0(t, db.keep(changes...))
		full := size(t)
		for i := range changes[:3500] {
			changes[i].value = nil
		}
		must0(t, db.keep(changes[:3500]...))
		for range 60 {
			must0(t, db.keep(Change{valueBucket, timeKey, seal(timeKey, utc(time.Now()))}))
			time.Sleep(time.Second)
		}
		if now := size(t); now < full {
			t.Errorf("while it is written to it shrinks from %d to %d bytes", full, now)
		}
		time.Sleep(time.Minute)
		if now := size(t); now > full/4 {
			t.Errorf("%d bytes of %d are left", now, full)
		}
		small, err := os.Stat(path)
		must0(t, err)
		time.Sleep(24 * time.Hour)
		again, err := os.Stat(path)
		must0(t, err)
		if !os.SameFile(small, again) {
			t.Error("it is compacted for nothing")
		}
	})
}

// Either meta page of a file that was compacted names all of it: one that is damaged
// costs nothing.
func TestCompactedMetaPages(t *testing.T) {
	for torn := range 2 {
		path := board(t)
		db := open(t, path, Options{})
		secretive(t, db, "s")
		secretive(t, db, "t")
		must0(t, db.DeleteSession("t"), db.Compact())
		want := contents(t, db)
		must0(t, db.Close())
		data := read(t, path)
		data[torn*pageSize+pageHeader+metaSize] ^= 0xff
		must0(t, os.WriteFile(path, data, 0o600))
		db = open(t, path, Options{})
		if got := contents(t, db); !same(got, want) || db.SetAside() != "" {
			t.Errorf("page %d torn: %d sessions, %q", torn, len(got), db.SetAside())
		}
		must0(t, db.Check())
	}
}

// A compaction that fails is told, costs nothing, and is tried again.
func TestCompactFails(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(path, Options{})
		must0(t, err)
		defer db.Close()
		secretive(t, db, "s")
		secretive(t, db, "t")
		must0(t, os.Mkdir(tempName(path), 0o700)) // no file can be made there
		must0(t, db.DeleteSession("s"), db.Sync())
		time.Sleep(time.Minute)
		if db.CompactErr() == nil || db.Err() != nil {
			t.Errorf("the compaction's error is %v, the commit's %v", db.CompactErr(), db.Err())
		}
		if got := contents(t, db); len(got) != 1 {
			t.Errorf("%d sessions", len(got))
		}
		must0(t, os.Remove(tempName(path)))
		time.Sleep(compactRetry + time.Minute)
		must0(t, db.CompactErr(), db.DeleteSession("t"), db.Sync())
		time.Sleep(time.Minute)
		if left := holdsSecret(t, path); len(left) > 0 {
			t.Error(left)
		}
	})
}

// What is deleted while a compaction is under way was copied by it, and is erased by
// another.
func TestForgottenDuringCompaction(t *testing.T) {
	path := board(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(path, Options{LockTimeout: time.Hour})
		must0(t, err)
		defer db.Close()
		secretive(t, db, "s")
		held, err := lockFile(tempName(path), os.O_CREATE, 0) // the compaction waits for it
		must0(t, err)
		var compacted error
		done := make(chan struct{})
		go func() {
			defer close(done)
			compacted = db.Compact()
		}()
		synctest.Wait()
		must0(t, db.DeleteSession("s"), held.Close())
		<-done
		must0(t, compacted)
		time.Sleep(time.Minute)
		if left := holdsSecret(t, path); len(left) > 0 {
			t.Error(left)
		}
		if v, err := db.get(valueBucket, forgottenKey); v != nil || err != nil {
			t.Errorf("marked: %v, %v", v, err)
		}
	})
}

// A compacted file has the owner and the mode of the one before: a command of root's
// that ends in a compaction does not take the database from the daemon's user.
func TestCompactedOwner(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	secretive(t, db, "s")
	must0(t, os.Chmod(path, 0o640))
	if os.Geteuid() == 0 {
		must0(t, os.Chown(path, 12345, 12346))
	}
	before, err := os.Stat(path)
	must0(t, err, db.DeleteSession("s"), db.Close())
	after, err := os.Stat(path)
	must0(t, err)
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if was.Ino == is.Ino {
		t.Fatal("it was not compacted")
	}
	if was.Uid != is.Uid || was.Gid != is.Gid || was.Mode != is.Mode {
		t.Errorf("%d:%d %o became %d:%d %o", was.Uid, was.Gid, was.Mode, is.Uid, is.Gid, is.Mode)
	}
}
