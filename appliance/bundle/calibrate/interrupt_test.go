package calibrate

import (
	"context"
	"errors"
	"slices"
	"testing"

	"skerry/appliance/bundle"
)

// Whoever asks the daemon something ends the calibration that it does at leisure, and is not
// to wait for the end of a step of it.
func TestEveryStepCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := &document{tokens: make([]int32, 3), greedy: make([]int32, 3)}
	for range 3 {
		d.addStates(make([]float32, 4), make([]float32, 4))
	}
	f := newFit(fitter(t), norm{slices.Repeat([]float32{1}, 4), 1}, 1, 100, 1)
	if err := f.take(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	unjudged := &judged{byKind: map[string]*tally{}, trust: map[string]*reliability{}}
	for name, step := range map[string]func() error{
		"the sums": func() error { return f.flush(ctx) },
		"the regression": func() error {
			g := newGram(4)
			g.n = 10
			_, _, err := g.solve(ctx)
			return err
		},
		"a temperature": func() error {
			_, err := coldest(ctx, func(float64) float64 { return 0 })
			return err
		},
		"the report": func() error {
			return (&report{width: 4, depths: 1, said: counter{said: make([]int, 1)}, heads: []*judged{unjudged}}).take(ctx, d)
		},
	} {
		if err := step(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of a window of text no more is read than what was under way.
func TestReadingIsInterrupted(t *testing.T) {
	dir, _ := tiny(t)
	b, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Unsplit)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openModel(b, []int{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches := 0
	_, err = m.read(ctx, slices.Repeat([]int32{5}, window), true, func(int) {
		batches++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || batches != 1 {
		t.Errorf("%v after %d batches", err, batches)
	}
	if _, err := m.surprise(ctx, []int32{1, 2}, []int32{3}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
