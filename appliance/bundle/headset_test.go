package bundle_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/heads"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

// Heads go from one bundle to another of the same source and exits, and to no other.
func TestHeadSet(t *testing.T) {
	work := t.TempDir()
	src := bundletest.Synth(t, "tiny", "q4_0")
	prepared := func(name, src string, exits ...int) *bundle.Bundle {
		t.Helper()
		dir := filepath.Join(work, name)
		splitInto(t, src, dir, split.Options{Exits: exits})
		b, err := bundle.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	from, to := prepared("from", src, 2, 4), prepared("to", src, 2, 4)
	var none bytes.Buffer
	if err := from.WriteHeads(t.Context(), &none); err == nil {
		t.Error("a bundle without fitted heads gave some away")
	}
	entries := []bundle.Head{{Exit: 2, Threshold: 0.9}, {Exit: 4, Threshold: 0.8}}
	if err := from.SetHeads(t.Context(), []*heads.Fitted{someHead(2), someHead(4)}, entries, &bundle.Calibration{Seed: 8}); err != nil {
		t.Fatal(err)
	}
	var set, again bytes.Buffer
	if err := from.WriteHeads(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	if err := from.WriteHeads(t.Context(), &again); err != nil || !bytes.Equal(set.Bytes(), again.Bytes()) {
		t.Errorf("the same heads give other bytes: %v", err)
	}
	id := to.Manifest.ID()
	if err := to.TakeHeads(t.Context(), bytes.NewReader(set.Bytes()), int64(set.Len())); err != nil {
		t.Fatal(err)
	}
	to, err := bundle.Open(t.Context(), to.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if to.Manifest.ID() != id {
		t.Error("the bundle's id has changed: clouds would refuse its boards")
	}
	if !reflect.DeepEqual(to.Manifest.Heads, from.Manifest.Heads) || to.Manifest.Calibration.Seed != 8 {
		t.Errorf("%+v became %+v", from.Manifest.Heads, to.Manifest.Heads)
	}
	if h, err := to.FittedHead(t.Context(), 4); err != nil || !slices.Equal(h.Translator, someHead(4).Translator) {
		t.Errorf("another head came over: %v", err)
	}

	other := filepath.Join(work, "other.gguf")
	if err := synth.Write(t.Context(), "tiny", other, synth.Options{Seed: 7, Type: "q4_0"}); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*bundle.Bundle{"other exits": prepared("exits", src, 2, 5), "one exit": prepared("one", src, 2), "another model": prepared("model", other, 2, 4)} {
		was, err := os.ReadFile(filepath.Join(b.Dir, bundle.ManifestFile))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.TakeHeads(t.Context(), bytes.NewReader(set.Bytes()), int64(set.Len())); !errors.Is(err, bundle.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(filepath.Join(b.Dir, bundle.ManifestFile)); err != nil || !bytes.Equal(was, now) {
			t.Errorf("%s: the manifest has changed: %v", name, err)
		}
	}
	short := set.Bytes()[:set.Len()/2]
	if err := to.TakeHeads(t.Context(), bytes.NewReader(short), int64(len(short))); !errors.Is(err, bundle.ErrHeadSet) {
		t.Errorf("half a set: %v", err)
	}
}

// A set of heads from elsewhere is refused with an error, whatever is in it.
func FuzzHeadSet(f *testing.F) {
	src := bundletest.Synth(f, "tiny", "q4_0")
	dir := filepath.Join(f.TempDir(), "b")
	splitInto(f, src, dir, split.Options{Exits: []int{2, 4}})
	b, err := bundle.Open(f.Context(), dir)
	if err != nil {
		f.Fatal(err)
	}
	if err := b.SetHeads(f.Context(), []*heads.Fitted{someHead(2), someHead(4)}, []bundle.Head{{Exit: 2}, {Exit: 4}}, &bundle.Calibration{}); err != nil {
		f.Fatal(err)
	}
	var set bytes.Buffer
	if err := b.WriteHeads(f.Context(), &set); err != nil {
		f.Fatal(err)
	}
	f.Add(set.Bytes())
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, set []byte) {
		if err := b.TakeHeads(t.Context(), bytes.NewReader(set), int64(len(set))); err == nil {
			if _, err := bundle.Open(t.Context(), dir, bundle.Board1); err != nil {
				t.Errorf("a set was taken that cannot be opened: %v", err)
			}
		}
	})
}
