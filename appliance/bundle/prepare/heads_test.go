package prepare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
)

// tinyBundle splits the tiny model, without a parity check.
func tinyBundle(t *testing.T, src string, exits ...int) *bundle.Bundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	if _, err := split.Model(t.Context(), src, dir, split.Options{Exits: exits}); err != nil {
		t.Fatal(err)
	}
	return opened(t, dir)
}

func opened(t *testing.T, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fitIn gives a bundle some heads with a seed to know them by.
func fitIn(t *testing.T, b *bundle.Bundle, seed uint64) {
	t.Helper()
	var fitted []*bundle.FittedHead
	for _, e := range b.Manifest.Exits {
		n := b.Manifest.Embedding
		fitted = append(fitted, &bundle.FittedHead{Exit: e, Translator: make([]float32, n*n), Bias: make([]float32, n), Shortlist: []int32{3, 7}})
	}
	if err := b.SetHeads(t.Context(), fitted, make([]bundle.Head, len(fitted)), &bundle.Calibration{Seed: seed}); err != nil {
		t.Fatal(err)
	}
}

// A bundle takes in the heads that are carried for its model and exits, once, and keeps
// heads of its own.
func TestTakeHeads(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	from := tinyBundle(t, src, 2, 4)
	fitIn(t, from, 5)
	var set bytes.Buffer
	if err := from.WriteHeads(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	sets := fstest.MapFS{"heads/tiny.zip": {Data: set.Bytes()}, "heads/README.md": {}}
	seed := func(b *bundle.Bundle) uint64 {
		t.Helper()
		if err := takeHeads(t.Context(), b.Dir, sets); err != nil {
			t.Fatal(err)
		}
		if c := opened(t, b.Dir).Manifest.Calibration; c != nil {
			return c.Seed
		}
		return 0
	}
	same, others, own := tinyBundle(t, src, 2, 4), tinyBundle(t, src, 2, 5), tinyBundle(t, src, 2, 4)
	fitIn(t, own, 9)
	if got := seed(same); got != 5 {
		t.Errorf("of the same exits: heads of seed %d", got)
	}
	if got := seed(others); got != 0 {
		t.Errorf("of other exits: heads of seed %d", got)
	}
	if got := seed(own); got != 9 {
		t.Errorf("with heads of its own: those of seed %d", got)
	}
	sets["heads/a-damaged.zip"] = &fstest.MapFile{Data: set.Bytes()[:100]}
	if err := takeHeads(t.Context(), others.Dir, sets); err == nil {
		t.Error("a damaged set was passed over")
	}
}

// maxCarried bounds what the program carries for one model, in bytes.
const maxCarried = 4_000_000

// What is carried is what its sha256 says, and small.
func TestCarriedHeadsAreWhole(t *testing.T) {
	names, err := fs.Glob(carried, "heads/*.zip")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("skipped: the program carries no heads: make heads makes them")
	}
	for _, name := range names {
		set, err := fs.ReadFile(carried, name)
		if err != nil {
			t.Fatal(err)
		}
		line, err := fs.ReadFile(carried, name+".sha256")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(set)
		if want, _, _ := strings.Cut(string(line), " "); want != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not what its sha256 says: run make heads and commit both files", name)
		}
		if len(set) > maxCarried {
			t.Errorf("%s has %d bytes, of at most %d", name, len(set), maxCarried)
		}
	}
}
