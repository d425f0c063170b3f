package split

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/synth"
)

// TestCancel cancels a split at its every report of progress in turn: neither a
// partial bundle nor a temporary is left, and the bundle before is untouched.
func TestCancel(t *testing.T) {
	src, dir := bundletest.Synth(t, "tiny", "q4_1"), filepath.Join(t.TempDir(), "b")
	for _, existing := range []bool{false, true} {
		if existing {
			split(t, src, dir, Options{Exits: []int{2}})
		}
		before := bundletest.Tree(t, filepath.Dir(dir))
		for at := 0; ; at++ {
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			_, err := Model(ctx, src, dir, Options{Exits: []int{1, 3}, Quantizer: testQuantizer, Parity: parityOK, Progress: func(string, int64, int64) {
				if n == at {
					cancel()
				}
				n++
			}})
			cancel()
			if n <= at {
				if err != nil || at < 5 {
					t.Fatalf("after %d points: %v", at, err)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("at point %d: %v", at, err)
			}
			if after := bundletest.Tree(t, filepath.Dir(dir)); !maps.Equal(before, after) {
				t.Fatalf("at point %d: was %v, is %v", at, before, after)
			}
		}
		if err := bundle.Verify(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}

func TestStaleIsRemoved(t *testing.T) {
	src, parent := bundletest.Synth(t, "tiny", "q4_0"), t.TempDir()
	for _, dir := range []string{".b.new-123", ".c.new-123", "keep"} {
		if err := os.MkdirAll(filepath.Join(parent, dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	split(t, src, filepath.Join(parent, "b"), Options{})
	var names []string
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != ".c.new-123 b keep" {
		t.Errorf("left are %s", got)
	}
	if err := os.Rename(filepath.Join(parent, "b"), filepath.Join(parent, ".b.old")); err != nil {
		t.Fatal(err)
	}
	_, err = Model(t.Context(), src, filepath.Join(parent, "b"), Options{Parity: func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
		return bundle.ParityResult{}, errors.New("no")
	}})
	if err == nil {
		t.Error("split despite a failed check")
	}
	if err := bundle.Verify(t.Context(), filepath.Join(parent, "b")); err != nil {
		t.Errorf("a bundle set aside was not put back: %v", err)
	}
}

func TestRefusesToReplace(t *testing.T) {
	src, dir := bundletest.Synth(t, "tiny", "q4_0"), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Model(t.Context(), src, dir, Options{}); err == nil || !strings.Contains(err.Error(), "no bundle") {
		t.Errorf("replaced a directory that is no bundle: %v", err)
	}
	busy := filepath.Join(t.TempDir(), "b")
	split(t, src, busy, Options{Parity: func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
		if _, err := Model(t.Context(), src, busy, Options{}); !errors.Is(err, disk.ErrBusy) {
			t.Errorf("two splits into one directory: %v", err)
		}
		return parityOK(nil, "", nil)
	}})
}

// TestSplitOfOwnUnsplit uses a file of the bundle that is being replaced, which was
// converted from q4_1, and which was not from q4_0.
func TestSplitOfOwnUnsplit(t *testing.T) {
	for _, ty := range []string{"q4_0", "q4_1"} {
		dir := filepath.Join(t.TempDir(), "b")
		split(t, bundletest.Synth(t, "tiny", ty), dir, Options{})
		split(t, filepath.Join(dir, "unsplit.gguf"), dir, Options{Exits: []int{1}})
		if err := bundle.Verify(t.Context(), dir); err != nil {
			t.Error(err)
		}
		if _, err := bundle.Open(t.Context(), dir); err != nil {
			t.Errorf("%s: %v", ty, err)
		}
	}
}

// TestDiskFull splits onto file systems that are too small, noticed beforehand
// or while writing.
func TestDiskFull(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=300k"); err != nil {
		t.Skipf("cannot mount a small file system, which takes root: %v", err)
	}
	defer unix.Unmount(small, unix.MNT_DETACH)
	_, err := Model(t.Context(), src, filepath.Join(small, "b"), Options{})
	oneHint(t, err, "free some space")
	if left := bundletest.Tree(t, small); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	err = synth.Write(t.Context(), "tiny", filepath.Join(small, "m.gguf"), synth.Options{Type: "f32"})
	oneHint(t, err, "free some space")

	// 2.3 MB pass the check beforehand and are used up by the parity check.
	if err := unix.Mount("tmpfs", small, "tmpfs", unix.MS_REMOUNT, "size=2300k"); err != nil {
		t.Fatal(err)
	}
	split(t, src, filepath.Join(small, "b"), Options{NoUnsplit: true})
	before := bundletest.Tree(t, small)
	_, err = Model(t.Context(), src, filepath.Join(small, "b"), Options{Exits: []int{1}, NoUnsplit: true, Progress: func(step string, done, total int64) {
		if step == "write the stages" && done < total/2 {
			f, err := os.Create(filepath.Join(small, "hog"))
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			f.Close()
		}
	}})
	oneHint(t, err, "free some space")
	os.Remove(filepath.Join(small, "hog"))
	if after := bundletest.Tree(t, small); !maps.Equal(before, after) {
		t.Errorf("was %v, is %v", before, after)
	}
}

func oneHint(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}
