package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/build/testseed"
)

// filled returns the bytes of a database with a tree of some depth, and what
// its sessions hold. Both of its meta pages lead to the same sessions.
func filled(t testing.TB) (file []byte, want map[string][]int32) {
	path := board(t)
	db := open(t, path, Options{})
	want = map[string][]int32{}
	for i := range 20 {
		id := fmt.Sprintf("session %d", i)
		log, err := db.CreateSession(SessionMeta{ID: id})
		must0(t, err)
		for range 40 * i {
			want[id] = append(want[id], int32(len(want[id])*7+i))
		}
		want[id] = append(want[id], int32(i))
		must0(t, log.Append(0, want[id]), db.PutTicket("cloud", []byte(id)), db.Sync())
	}
	for range 3 {
		must0(t, db.SaveTime(db.sessions["session 1"].Created), db.Sync())
	}
	must0(t, db.Close())
	file, err := os.ReadFile(path)
	must0(t, err)
	return file, want
}

// contents reads all sessions but those said to be damaged.
func contents(t testing.TB, db *DB) map[string][]int32 {
	got := map[string][]int32{}
	for _, m := range db.Sessions() {
		log, err := db.OpenSession(m.ID)
		must0(t, err)
		tokens, err := log.Tokens()
		if errors.Is(err, ErrDamaged) {
			continue
		}
		must0(t, err)
		got[m.ID] = tokens
	}
	return got
}

func same(a, b map[string][]int32) bool {
	if len(a) != len(b) {
		return false
	}
	for id := range a {
		if !slices.Equal(a[id], b[id]) {
			return false
		}
	}
	return true
}

// opens writes a file, opens it, and returns what is in it and whether it was
// set aside as it was.
func opens(t *testing.T, file []byte) (map[string][]int32, bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "board.db")
	must0(t, os.WriteFile(path, file, 0o600))
	db, err := Open(path, Options{})
	must0(t, err)
	defer db.Close()
	must0(t, db.Check())
	aside := db.SetAside()
	if aside == "" {
		return contents(t, db), false
	}
	kept, err := os.ReadFile(aside)
	if err != nil || !slices.Equal(kept, file) || !strings.HasPrefix(aside, path+".damaged-2") {
		t.Fatalf("set aside at %s: %d of %d bytes, %v", aside, len(kept), len(file), err)
	}
	got := contents(t, db)
	_, err = db.CreateSession(SessionMeta{ID: "fresh"})
	must0(t, err, db.Sync())
	return got, true
}

func TestTruncatedFilesAreSetAside(t *testing.T) {
	file, want := filled(t)
	if got, aside := opens(t, file); aside || !same(got, want) {
		t.Fatalf("the whole file: set aside %v, %d sessions", aside, len(got))
	}
	for _, n := range []int{0, 1, 15, 4095, 4096, 8192, 12288, 16384, 20000, len(file) / 2} {
		if _, aside := opens(t, file[:n]); !aside {
			t.Errorf("%d bytes were opened", n)
		}
	}
	for _, text := range []string{"", "not a database", strings.Repeat("x", 70000)} {
		if _, aside := opens(t, []byte(text)); !aside {
			t.Errorf("%q was opened", text[:min(20, len(text))])
		}
	}
}

// TestFlippedBits: a flip is either in room not in use, or noticed, and what is
// rescued is as it was.
func TestFlippedBits(t *testing.T) {
	seed := testseed.Of(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	file, want := filled(t)
	found, rescued := 0, 0
	for i := range 150 {
		bad := slices.Clone(file)
		at := rng.IntN(len(bad))
		if i%3 == 0 { // headers and the first elements
			at = at/pageSize*pageSize + rng.IntN(100)
		}
		bad[at] ^= 1 << rng.IntN(8)
		got, aside := opens(t, bad)
		if aside {
			found++
			rescued += len(got)
			for id, tokens := range got {
				if !slices.Equal(tokens, want[id]) {
					t.Fatalf("seed %d: a flip at %d changed a session that was rescued", seed, at)
				}
			}
		} else if !same(got, want) {
			t.Fatalf("seed %d: a flip at %d changed what is read in silence", seed, at)
		}
	}
	t.Logf("%d of 150 flips noticed, %d sessions of %d rescued", found, rescued, found*len(want))
	if found < 15 || rescued < found {
		t.Errorf("seed %d: too few", seed)
	}
}

// TestRenamedBucket: no checksum of bbolt's covers the names of buckets, and a table that
// is not found would read as empty.
func TestRenamedBucket(t *testing.T) {
	file, want := filled(t)
	for _, name := range boardKind.buckets() {
		flips, mended, at := 0, 0, 0
		for {
			i := bytes.Index(file[at:], []byte(name))
			if i < 0 {
				break
			}
			at += i
			bad := slices.Clone(file)
			bad[at+len(name)-1] ^= 1
			got, aside := opens(t, bad)
			if aside {
				flips++
			}
			whole := same(got, want)
			if whole && aside {
				mended++
			}
			if !whole && name != schemaBucket { // whose one key has the same name, and is checked
				t.Errorf("with a flip at %d, in %q: %d sessions of %d, set aside: %v", at, name, len(got), len(want), aside)
			}
			at += len(name)
		}
		if flips == 0 || mended == 0 {
			t.Errorf("%d flips in the name %q were noticed, %d mended", flips, name, mended)
		}
	}
}

// TestChangedCounts: a page whose count of elements has changed, to none too, would hide
// records in silence.
func TestChangedCounts(t *testing.T) {
	file, _ := filled(t)
	records := func(file []byte) (n int, err error) {
		_, err = verify(bytes.NewReader(file), int64(len(file)), func(string, string, []byte) { n++ })
		return n, err
	}
	all, err := records(file)
	must0(t, err)
	noticed, none := 0, 0
	change := func(b []byte, what string) {
		count := binary.LittleEndian.Uint16(b)
		for _, to := range []uint16{0, 1, count - 1, count + 1, count ^ 2, count ^ 1<<15} {
			binary.LittleEndian.PutUint16(b, to)
			switch n, err := records(file); {
			case err == nil && n != all:
				t.Errorf("%s with %d elements in place of %d: %d records of %d are read", what, to, count, n, all)
			case err != nil && to == 0:
				none++
			case err != nil:
				noticed++
			}
		}
		binary.LittleEndian.PutUint16(b, count)
	}
	for at := 2 * pageSize; at < len(file); at += pageSize {
		p := parsePage(file[at : at+pageSize])
		if p.flags != flagLeaf && p.flags != flagBranch || p.overflow > 0 {
			continue
		}
		entries, err := p.entries()
		must0(t, err)
		change(p.data[10:], fmt.Sprintf("page %d", p.id))
		for _, e := range entries {
			if e.bucket && binary.LittleEndian.Uint64(e.value) == 0 {
				change(e.value[16+10:], fmt.Sprintf("the small bucket %s", e.key))
			}
		}
	}
	if noticed < 20 || none < 3 {
		t.Errorf("%d changes were noticed, and %d to no elements", noticed, none)
	}
}

// mendMeta makes the checksums of hostile meta pages right.
func mendMeta(file []byte) {
	for at := 0; at+pageSize <= len(file) && at <= pageSize; at += pageSize {
		h := fnv.New64a()
		h.Write(file[at+pageHeader : at+pageHeader+metaSize])
		binary.LittleEndian.PutUint64(file[at+pageHeader+metaSize:], h.Sum64())
	}
}

// TestPagesInACircle: bbolt's own check would follow this one until the stack
// of the process is full.
func TestPagesInACircle(t *testing.T) {
	file, _ := filled(t)
	circles := 0
	for at := 2 * pageSize; at < len(file); at += pageSize {
		p := parsePage(file[at : at+pageSize])
		if p.flags == flagBranch && p.count > 0 {
			binary.LittleEndian.PutUint64(file[at+pageHeader+8:], p.id)
			circles++
		}
	}
	if circles == 0 {
		t.Fatal("the tree has no branch")
	}
	if _, aside := opens(t, file); !aside {
		t.Fatal("opened")
	}
}

// TestHostileMeta sets every field of both meta pages to values that would make
// bbolt read or allocate beyond all bounds, with a right checksum.
func TestHostileMeta(t *testing.T) {
	whole, want := filled(t)
	for _, at := range []int{8, 16, 32, 40} {
		for _, v := range []uint64{0, 1, 3, 1 << 20, 1 << 62, ^uint64(0)} {
			file := slices.Clone(whole)
			for _, page := range []int{0, pageSize} {
				if at == 8 {
					binary.LittleEndian.PutUint32(file[page+pageHeader+at:], uint32(v))
				} else {
					binary.LittleEndian.PutUint64(file[page+pageHeader+at:], v)
				}
			}
			mendMeta(file)
			if got, aside := opens(t, file); !aside && !same(got, want) {
				t.Fatalf("field at %d set to %d: %d sessions", at, v, len(got))
			}
		}
	}
}

// TestDamageWhileRunning: a page that goes bad under the program is an error.
func TestDamageWhileRunning(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	log, err := db.CreateSession(SessionMeta{ID: "a"})
	must0(t, err, log.Append(0, make([]int32, 100_000)), log.Sync())
	must0(t, os.Truncate(path, 3*pageSize))
	if _, err := log.Tokens(); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	if err := db.Check(); !errors.Is(err, ErrDamaged) {
		t.Errorf("check: %v", err)
	}
	log.Append(100_000, []int32{1})
	if err := db.Sync(); err == nil {
		t.Error("a commit on a cut file succeeded")
	}
}

func TestNotOurs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	cloud, err := OpenStore(path, cloudKind, Options{})
	must0(t, err, cloud.Close())
	if _, err := Open(path, Options{}); !errors.Is(err, ErrKind) {
		t.Errorf("a cloud's: %v", err)
	}
	cloud, err = OpenStore(path, cloudKind, Options{})
	must0(t, err)
	must0(t, cloud.keep(Change{schemaBucket, schemaKey, seal(schemaKey, schema{"cloud", schemaVersion + 1})},
		Change{valueBucket, "new", []byte("sealed in a way not known")}), cloud.Close())
	if _, err := OpenStore(path, cloudKind, Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer one: %v", err)
	}
	if _, err := Open(dir, Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open(filepath.Join(path, "y.db"), Options{}); err == nil {
		t.Error("a directory that is a file")
	}
	if _, err := Open(board(t), Options{Durability: "maybe"}); err == nil {
		t.Error("an unknown durability")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestLocked(t *testing.T) {
	path := board(t)
	db := open(t, path, Options{})
	if _, err := Open(path, Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("%v", err)
	}
	must0(t, db.Compact())
	if _, err := Open(path, Options{LockTimeout: 1}); !errors.Is(err, ErrLocked) {
		t.Fatalf("after a compaction: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(tempName(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the temporary file: %v", err)
	}
}
