package cloudnode

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

func contextsIn(t *testing.T, state string, known ...string) *contextFiles {
	t.Helper()
	c, err := openContexts(state, 1e6, func(device string) bool {
		for _, k := range known {
			if k == device {
				return true
			}
		}
		return false
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContextFiles(t *testing.T) {
	state := t.TempDir()
	id := partition.ContextID{Bundle: wire.Hash{1}, Device: "pi", Session: wire.SessionID{2}}
	whole, other := id, id
	whole.Whole, other.Device = true, "other"
	c := contextsIn(t, state, "pi", "other")
	for i, id := range []partition.ContextID{id, whole, other} {
		if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 3, Positions: 500, State: bytes.Repeat([]byte{byte(i)}, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	c.Note(id, 2, 10) // of a branch that was left before
	c.Note(id, 5, 450)
	c.Note(id, 4, 20)
	c.Note(id, 9, 480)
	want := func(c *contextFiles, id partition.ContextID, branch uint32, pos int, first byte) {
		t.Helper()
		k := c.Load(id)
		if k == nil || k.Branch != branch || k.Positions != pos || len(k.State) != 1000 || k.State[0] != first || k.ContextID != id {
			t.Fatalf("%+v", k)
		}
	}
	entries, err := os.ReadDir(filepath.Join(state, contextDir))
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}

	c = contextsIn(t, state, "pi", "other")
	want(c, id, 9, 480, 0) // of which no more than 500 were written: the partition counts down
	want(c, whole, 3, 500, 1)
	want(c, other, 3, 500, 2)
	c.Expire(time.Hour, nil)
	c.ForgetDevice("other")
	if c.Has(other) || !c.Has(id) {
		t.Error("the wrong device was forgotten")
	}
	// A note of a file that was replaced since says nothing.
	if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 12, Positions: 600, State: make([]byte, 1000)}); err != nil {
		t.Fatal(err)
	}
	want(c, id, 12, 600, 0)
	c.Forget(whole)
	if c.Has(whole) || c.Load(whole) != nil {
		t.Error("a context that was forgotten is there")
	}

	// A device that is not known any more has nothing kept.
	c = contextsIn(t, state, "other")
	if c.Has(id) {
		t.Error("a context of a device that is not known")
	}
	if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 1, Positions: 1}); err != nil || c.Has(id) {
		t.Errorf("a context of a device that is not known: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(state, contextDir)); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestDamagedContextIsAMiss: a file that was torn or flipped, or a note, is no more than a
// miss.
func TestDamagedContextIsAMiss(t *testing.T) {
	id := partition.ContextID{Bundle: wire.Hash{1}, Device: "pi", Session: wire.SessionID{2}}
	for name, damage := range map[string]func(b []byte) []byte{
		"torn":    func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"empty":   func([]byte) []byte { return nil },
	} {
		for _, suffix := range []string{"", noteSuffix} {
			c := contextsIn(t, t.TempDir(), "pi")
			if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 3, Positions: 500, State: make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
			c.Note(id, 4, 100)
			path := filepath.Join(c.dir, c.files.Name(fileKey(id))) + suffix
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if k := c.Load(id); k != nil {
				t.Errorf("%s%s: %d positions on branch %d", name, suffix, k.Positions, k.Branch)
			}
		}
	}
}

func TestForgetContexts(t *testing.T) {
	state := t.TempDir()
	if n, err := forgetContexts(state, ""); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	c := contextsIn(t, state, "a", "b")
	for i, device := range []string{"a", "b", "b"} {
		id := partition.ContextID{Device: device, Session: wire.SessionID{byte(i + 1)}}
		if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 1, Positions: 200, State: []byte{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := forgetContexts(state, "a"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := forgetContexts(state, ""); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzStanding(f *testing.F) {
	f.Add(standing{3, 500}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decodeStanding(b); ok && (s.pos < 0 || !bytes.Equal(s.encode(), b)) {
			t.Errorf("%x: %+v", b, s)
		}
	})
}

// A device that is revoked while a context of its is on its way into a file leaves none.
func TestRevokedWhileAContextIsWritten(t *testing.T) {
	c := contextsIn(t, t.TempDir(), "pi")
	asked := 0
	c.known = func(string) bool { asked++; return asked == 1 }
	id := partition.ContextID{Device: "pi"}
	if err := c.Save(&partition.KeptContext{ContextID: id, Branch: 1, Positions: 200, State: []byte("state")}); err != nil {
		t.Fatal(err)
	}
	if c.Has(id) {
		t.Error("its context is in a file")
	}
}
