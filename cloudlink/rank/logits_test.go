package rank

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAmong(t *testing.T) {
	row := []float32{5, 1, 9, 1}
	got := Among(row, NewIDSet([]int32{3, 1, 0, 1, -7, 99}, len(row)), 0)
	if want := []Candidate{{ID: 0, Logit: 5}, {ID: 1, Logit: 1}, {ID: 3, Logit: 1}}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got := Among(row, NewIDSet([]int32{3, 1, 0}, len(row)), 1); len(got) != 1 || got[0].ID != 0 {
		t.Fatalf("got %v", got)
	}
}

func TestLogSumExp(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		row  []float32
		want float64
	}{
		{[]float32{0, 0}, math.Log(2)},
		{[]float32{1000, 1000}, 1000 + math.Log(2)},
		{[]float32{-1000, -1001}, -1000 + math.Log1p(math.Exp(-1))},
		{[]float32{-inf, 3, -inf}, 3},
		{[]float32{-inf}, math.Inf(-1)},
	} {
		if got := LogSumExp(c.row); math.Abs(got-c.want) > 1e-12 && got != c.want {
			t.Errorf("%v: got %v, want %v", c.row, got, c.want)
		}
	}
}

func BenchmarkTopK(b *testing.B) {
	row := make([]float32, 130_000)
	for i := range row {
		row[i] = float32(rand.NormFloat64())
	}
	for b.Loop() {
		Top(row, 40)
		LogSumExp(row)
	}
}
