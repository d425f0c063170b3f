package calibrate

import (
	"errors"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
)

// What the fit of a model of any width holds while it reads is within what it is said to take.
func TestFitBytes(t *testing.T) {
	dir, _ := tiny(t)
	b, err := bundle.Open(t.Context(), dir, bundle.Board1)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{b.Manifest.Embedding, 512} {
		wide := *b.Manifest
		wide.Embedding = width
		o := Options{}.withDefaults()
		f := newFit(fitter(t), norm{make([]float32, width), 0}, len(depths(&wide)), o.Tokens, 1)
		holds := 2*cap(f.sample.rows) + 4*cap(f.scratch)
		for _, g := range f.grams {
			holds += 8 * (cap(g.sx) + cap(g.sy) + cap(g.xx) + cap(g.yx))
		}
		for i := range f.chunk {
			holds += 4 * (cap(f.chunk[i]) + cap(f.row[i]))
		}
		got, err := FitBytes(&bundle.Bundle{Dir: dir, Manifest: &wide}, Options{})
		if err != nil || got < int64(holds) || got > 3*int64(holds)+200<<20 {
			t.Errorf("of width %d: %d bytes, of which it holds %d while it reads, %v", width, got, holds, err)
		}
	}
	// Six depths of a width of 2048: the sums alone are 16·d² bytes each.
	wide := *b.Manifest
	wide.Embedding, wide.Blocks, wide.Exits = 2048, 24, []int{9, 17}
	if got, err := FitBytes(&bundle.Bundle{Dir: dir, Manifest: &wide}, Options{}); err != nil || got < 6*16*2048*2048+sampleBytes {
		t.Errorf("%d bytes, %v", got, err)
	}
	if _, err := FitBytes(&bundle.Bundle{Dir: filepath.Join(dir, "nothing"), Manifest: &wide}, Options{}); err == nil {
		t.Error("of no bundle")
	}
}

// The sample takes its memory once.
func TestSampleNeverGrows(t *testing.T) {
	s := newSample(4, 100, 1)
	at := &s.rows[:1][0]
	for range 300 {
		s.add(make([]float32, 2), make([]float32, 2))
	}
	if &s.rows[0] != at || s.len() != 100 {
		t.Errorf("it has moved, with %d positions", s.len())
	}
}

// A draft that memory has no room for is not even looked at.
func TestWithoutDraft(t *testing.T) {
	dir, _ := drafted(t, false)
	if _, noDraft, err := openBundle(t.Context(), dir, true); noDraft != nil || err != nil {
		t.Fatal(noDraft, err)
	}
	b, noDraft, err := openBundle(t.Context(), dir, false)
	if !errors.Is(noDraft, bundle.ErrDraft) || err != nil || b.Manifest.Draft == nil {
		t.Errorf("%v, %v", noDraft, err)
	}
}
