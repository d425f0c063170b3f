package storage

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"skerry/build/testseed"
)

const sector = 512

// TestPowerCuts imitates a cut of power within a commit. bbolt writes the pages
// of a commit, syncs, writes one meta page, and syncs; whatever was written
// since the last sync may be on the disk or not, sector by sector. The disk is
// put together from the file before and after the commit: it must open as one
// of the two, and before the first sync as the former.
func TestPowerCuts(t *testing.T) {
	seed := testseed.Of(t)
	path := board(t)
	synctest.Test(t, func(t *testing.T) { // no time passes, no commit but ours
		rng := rand.New(rand.NewPCG(seed, 0))
		db := open(t, path, Options{})
		want, n := model{}, uint64(0)
		for range 60 {
			before, old := read(t, path), clone(want)
			for range 1 + rng.IntN(30) {
				o := operation(seed, n)
				o.compact = false // makes another file: see TestCutCreation
				if o.what == 4 || o.what == 5 {
					o.what = 6 // these commit by themselves
				}
				must0(t, o.on(db, io.Discard))
				want.apply(o)
				n++
			}
			must0(t, db.Sync())
			after := read(t, path)
			for range 4 {
				cut(t, rng, before, after, old, want)
			}
		}
	})
}

func read(t *testing.T, path string) []byte {
	file, err := os.ReadFile(path)
	must0(t, err)
	return file
}

func clone(m model) model {
	out := model{}
	for id, s := range m {
		out[id] = &modelSession{slices.Clone(s.tokens), s.branch, s.mode}
	}
	return out
}

// cut opens disks as a cut at some moment of the commit could leave them.
func cut(t *testing.T, rng *rand.Rand, before, after []byte, old, new model) {
	synced := rng.IntN(2) == 0 // the first sync was through
	disk := slices.Clone(before)
	if len(after) > len(disk) && (synced || rng.IntN(2) == 0) {
		disk = append(disk, make([]byte, len(after)-len(disk))...)
	}
	for at := 0; at+sector <= len(disk); at += sector {
		if at+sector <= len(before) && bytes.Equal(before[at:at+sector], after[at:at+sector]) {
			continue
		}
		meta := at < 2*pageSize
		if meta && synced && rng.IntN(2) == 0 || !meta && (synced || rng.IntN(2) == 0) {
			copy(disk[at:at+sector], after[at:])
		}
	}
	path := filepath.Join(t.TempDir(), "board.db")
	must0(t, os.WriteFile(path, disk, 0o600))
	db, err := Open(path, Options{})
	must0(t, err)
	defer db.Close()
	if db.SetAside() != "" {
		t.Fatal("set aside")
	}
	first := old.equal(db)
	if first != nil && (!synced || new.equal(db) != nil) {
		t.Fatalf("neither the state before nor the one after (first sync through: %v): %v", synced, first)
	}
	must0(t, db.Check())
}

// TestCutCreation: what a cut left under the temporary name, of a creation or of
// a compaction, is in nobody's way.
func TestCutCreation(t *testing.T) {
	whole, want := filled(t)
	for _, left := range [][]byte{nil, whole[:1000], whole[:3*pageSize], whole} {
		for _, exists := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "board.db")
			must0(t, os.WriteFile(tempName(path), left, 0o600))
			if exists {
				must0(t, os.WriteFile(path, whole, 0o600))
			}
			db := open(t, path, Options{})
			if got := contents(t, db); exists && !same(got, want) || !exists && len(got) != 0 || db.SetAside() != "" {
				t.Errorf("%d bytes left, exists %v: %d sessions, set aside %q", len(left), exists, len(got), db.SetAside())
			}
			must0(t, db.Compact(), db.Check())
			if !exists {
				continue
			}
			if got := contents(t, db); !same(got, want) {
				t.Errorf("%d bytes left: %d sessions after a compaction", len(left), len(got))
			}
		}
	}
}
