package quality

import (
	"math"
	"testing"
)

// single are the entries of answers of which each is an entry of its own.
func single(n int) (entry []int) {
	for i := range n {
		entry = append(entry, i)
	}
	return entry
}

func TestDiffer(t *testing.T) {
	scores, base := make([]float64, 100), make([]float64, 100)
	for i := range scores {
		base[i] = float64(i % 2)
		if scores[i] = base[i]; i < 20 {
			scores[i] = 0 // worse in ten of a hundred
		}
	}
	d := differ(scores, base, single(100), 1)
	// Of a share of 0.1 in 100 the normal interval is 0.1 ± 0.059.
	if math.Abs(d.Mean+0.1) > 1e-12 || math.Abs(d.Low+0.16) > 0.021 || math.Abs(d.High+0.04) > 0.021 {
		t.Errorf("%+v", d)
	}
	if again := differ(scores, base, single(100), 1); *again != *d {
		t.Errorf("%+v and %+v with one seed", d, again)
	}
	if d := differ(base, base, single(100), 1); *d != (Difference{}) {
		t.Errorf("of a mode to itself: %+v", d)
	}
	if d := differ([]float64{1, 1, 1}, []float64{0.5, 0.5, 0.5}, single(3), 1); *d != (Difference{0.5, 0.5, 0.5}) {
		t.Errorf("of a difference without spread: %+v", d)
	}
	if d := differ([]float64{1, 1}, []float64{0, 0}, []int{4, 4}, 1); d != nil {
		t.Errorf("one entry: %+v", d)
	}
}

// Turns of one conversation that go wrong together say less than as many questions.
func TestDifferDrawsEntries(t *testing.T) {
	scores, base, entry := make([]float64, 100), make([]float64, 100), make([]int, 100)
	for i := range scores {
		base[i], entry[i] = 1, i/10
		if i >= 20 {
			scores[i] = 1
		}
	}
	apart, together := differ(scores, base, single(100), 1), differ(scores, base, entry, 1)
	if apart.Mean != together.Mean || together.High-together.Low < 2*(apart.High-apart.Low) {
		t.Errorf("answers %+v, entries %+v", apart, together)
	}
}
