package partition

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTopKAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few distinct values, so that ties are common.
		row := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float32 {
			return float32(rapid.IntRange(-4, 4).Draw(t, "logit"))
		}), 1, 200).Draw(t, "row")
		k := rapid.IntRange(0, 250).Draw(t, "k")
		want := make([]candidate, len(row))
		for i, v := range row {
			want[i] = candidate{int32(i), v}
		}
		slices.SortStableFunc(want, func(a, b candidate) int { return int(b.logit - a.logit) })
		if got := topK(row, k); !slices.Equal(got, want[:min(k, len(row))]) {
			t.Fatalf("top %d of %v: got %v", k, row, got)
		}
	})
}

func TestTopKPutsNaNLast(t *testing.T) {
	nan := float32(math.NaN())
	got := topK([]float32{nan, 1, nan, 3, float32(math.Inf(-1))}, 4)
	if got[0].id != 3 || got[1].id != 1 || got[2].id != 4 {
		t.Fatalf("got %v", got)
	}
}

func TestAmong(t *testing.T) {
	row := []float32{5, 1, 9, 1}
	got := among(row, []int32{3, 1, 0, 1, -7, 99}, 0)
	if want := []candidate{{0, 5}, {1, 1}, {3, 1}}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got := among(row, []int32{3, 1, 0}, 1); len(got) != 1 || got[0].id != 0 {
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
		if got := logSumExp(c.row); math.Abs(got-c.want) > 1e-12 && got != c.want {
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
		topK(row, 40)
		logSumExp(row)
	}
}
