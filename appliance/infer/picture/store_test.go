package picture

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func keeping(data ...string) map[string][]byte {
	all := map[string][]byte{}
	for _, d := range data {
		all[sumOf([]byte(d))] = []byte(d)
	}
	return all
}

// An image is there again in another process, for its own session alone, and until that forgets it.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	s := NewStore(dir)
	if err := s.Keep("../a", keeping("one", "two"), false); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep("../a", keeping("two", "three"), false); err != nil {
		t.Fatal(err)
	}
	again := NewStore(dir)
	for _, d := range []string{"one", "two", "three"} {
		if got, err := again.Image("../a", sumOf([]byte(d))); err != nil || !bytes.Equal(got, []byte(d)) {
			t.Errorf("%s: %q %v", d, got, err)
		}
		if _, err := again.Image("b", sumOf([]byte(d))); err == nil || !strings.Contains(err.Error(), "its file is gone") {
			t.Errorf("another session has %s: %v", d, err)
		}
	}
	if _, err := s.Image("../a", "../../etc/passwd"); err == nil || !strings.Contains(err.Error(), "is no sum") {
		t.Error(err)
	}
	if err := s.Retain("../a", []string{sumOf([]byte("two"))}); err != nil {
		t.Error(err)
	}
	if n, err := bytesIn(dir); n != 3 || err != nil {
		t.Errorf("%d bytes are left, %v", n, err)
	}
	path := filepath.Join(s.of("../a"), sumOf([]byte("two")))
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	if err := os.WriteFile(path, []byte("TWO"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Image("../a", sumOf([]byte("two"))); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
	if err := s.Forget("../a"); err != nil {
		t.Error(err)
	}
	if err := s.Forget("../a"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Error(left, err)
	}
}

// Sessions that there are no more lose their images, but not one that has just begun.
func TestTidy(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "images"))
	asked := 0
	known := func() []string { asked++; return []string{"there"} }
	if err := s.Tidy(known); err != nil || asked != 0 {
		t.Error(asked, err)
	}
	for _, id := range []string{"there", "gone", "new"} {
		if err := s.Keep(id, keeping(id), false); err != nil {
			t.Fatal(err)
		}
		if old := time.Now().Add(-time.Hour); id != "new" {
			if err := os.Chtimes(s.of(id), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Tidy(known); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"there": true, "gone": false, "new": true} {
		if _, err := s.Image(id, sumOf([]byte(id))); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// What does not fit is refused, and what is there stays.
func TestStoreBounds(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "images"))
	s.session, s.all = 10, 15
	for _, c := range []struct {
		session, data, want string
	}{{"a", "12345678", ""}, {"a", "123", "of a session are kept"}, {"b", "87654321", "delete sessions"}, {"b", "12345", ""}, {"a", "12345678", ""}} {
		err := s.Keep(c.session, keeping(c.data), false)
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrFull) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v", c.session, c.data, err)
		}
	}
	if err := s.Keep("a", map[string][]byte{sumOf([]byte("x")): []byte("y")}, false); err == nil {
		t.Error("an image under another's sum is kept")
	}
	// Sessions that nobody has named leave half to the others, and go on with what they have.
	s = NewStore(filepath.Join(t.TempDir(), "images"))
	s.session, s.all = 10, 16
	for _, c := range []struct {
		session, data string
		unnamed, full bool
	}{{"a", "1234567", true, false}, {"b", "12", true, true}, {"c", "123", false, false}, {"a", "1234567", true, false}, {"d", "123456", false, false}, {"e", "1", false, true}} {
		if err := s.Keep(c.session, keeping(c.data), c.unnamed); errors.Is(err, ErrFull) != c.full || err != nil && !c.full {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
