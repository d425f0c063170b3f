package bench

import (
	"testing"
)

func TestQuartiles(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want Quartiles
	}{
		{[]float64{3}, Quartiles{3, 3, 3}},
		{[]float64{2, 1}, Quartiles{1.25, 1.5, 1.75}},
		{[]float64{5, 1, 4, 2, 3}, Quartiles{2, 3, 4}},
		{[]float64{40, 10, 30, 20}, Quartiles{17.5, 25, 32.5}},
	} {
		before := append([]float64(nil), c.x...)
		if got := QuartilesOf(c.x); *got != c.want {
			t.Errorf("%v: %v, want %v", before, *got, c.want)
		}
		for i := range before {
			if before[i] != c.x[i] {
				t.Errorf("%v was reordered: rounds no longer belong together", before)
			}
		}
	}
	if QuartilesOf(nil) != nil {
		t.Error("an empty sample has quartiles")
	}
}

// A ratio is taken within each round: a machine that halves its speed from round
// to round leaves it as it is.
func TestRatiosWithinRounds(t *testing.T) {
	q := QuartilesOf(Ratios([]float64{2, 4, 8, 16}, []float64{1, 2, 4, 8}))
	if *q != (Quartiles{2, 2, 2}) {
		t.Errorf("%v", *q)
	}
	if r := Ratios([]float64{1, 2}, nil); r != nil {
		t.Errorf("a ratio over nothing is %v", r)
	}
}
