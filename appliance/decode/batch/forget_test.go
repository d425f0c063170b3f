package batch

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"skerry/appliance/decode"
)

// filesWith are the files of the cache in which the tokens are.
func filesWith(t *testing.T, dir string, tokens []int32) (n int) {
	t.Helper()
	var raw []byte
	for _, id := range tokens {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, raw) {
			n++
		}
	}
	return n
}

// What a session has said is nowhere in the cache once it is forgotten: not in what was
// there before, nor in what is written at the shutdown after. What others have said stays.
func TestForget(t *testing.T) {
	r := newRig(t)
	o := options(decode.Standalone, 15, 7)
	system := text(140, 1)
	mine, other := text(160, 2), text(60, 3) // so long that the other does not take its slot
	for name, forget := range map[string]func(t *testing.T, s *Slots, dir string) *Slots{
		"in memory and on disk": func(t *testing.T, s *Slots, dir string) *Slots {
			s.Forget("mine")
			return s
		},
		"after a restart": func(t *testing.T, s *Slots, dir string) *Slots {
			if err := s.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if filesWith(t, dir, mine) == 0 {
				t.Error("nothing of it was saved")
			}
			s = open(t, r.split(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir}})
			s.Forget("mine")
			return s
		},
		"while no model is loaded": func(t *testing.T, s *Slots, dir string) *Slots {
			if err := s.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if err := ForgetFiles(dir, "mine"); err != nil {
				t.Fatal(err)
			}
			return open(t, r.split(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir}})
		},
		"expired": func(t *testing.T, s *Slots, dir string) *Slots {
			if err := s.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			return open(t, r.split(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir, Known: func(id string) bool { return id != "mine" }}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, r.split(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir}})
			answer(t, s, Ask{Session: "mine", Prompt: slices.Concat(system, mine)}, o)
			answer(t, s, Ask{Session: "other", Prompt: slices.Concat(system, other)}, o)
			s.writes.Wait()
			if filesWith(t, dir, system) == 0 {
				t.Fatal("what both begin with is not kept")
			}
			s = forget(t, s, dir)
			if filesWith(t, dir, mine) > 0 {
				t.Error("it is still there")
			}
			if err := s.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if filesWith(t, dir, mine) > 0 {
				t.Error("it is written at the shutdown")
			}
			if filesWith(t, dir, other) == 0 {
				t.Error("what another session has said is gone")
			}
		})
	}
}

// The text of requests without a session is not written to disk unless that is wished.
func TestUnnamedIsNotKept(t *testing.T) {
	r := newRig(t)
	o := options(decode.Standalone, 15, 7)
	prompt := text(200, 1)
	for _, unnamed := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, r.split(t, 2), Options{Sequences: 2, Cache: Cache{Dir: dir, Unnamed: unnamed}})
		answer(t, s, Ask{Prompt: prompt}, o)
		answer(t, s, Ask{Prompt: prompt}, o)
		answer(t, s, Ask{Session: "s", Prompt: prompt}, o) // what both begin with is of one without a session too
		answer(t, s, Ask{Prompt: text(200, 2)}, o)
		s.Forget("s")
		if err := s.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if n := filesWith(t, dir, nil); (n > 0) != unnamed {
			t.Errorf("unnamed %v: %d files", unnamed, n)
		}
	}
}

// A file of the version before does not say whose text it holds: it goes.
func TestOlderFiles(t *testing.T) {
	dir := t.TempDir()
	old := entryOf(t, states["split"])
	copy(old, olderMagic)
	path := filepath.Join(dir, "0123.kv")
	write := func() {
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := ForgetFiles(dir, "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is there after ForgetFiles")
	}
	write()
	log, said := logged()
	if _, err := openCache(Cache{Dir: dir}, false, log); err != nil || said() != "" {
		t.Errorf("%v, %s", err, said())
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is there after the cache was opened")
	}
}
