package rank_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
	"skerry/cloudlink/rank"
)

func TestTopAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few distinct values, so that ties are common.
		row := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float32 {
			return float32(rapid.IntRange(-4, 4).Draw(t, "logit"))
		}), 1, 200).Draw(t, "row")
		k := rapid.IntRange(0, 250).Draw(t, "k")
		want := make([]rank.Candidate, len(row))
		for i, v := range row {
			want[i] = rank.Candidate{ID: int32(i), Logit: v}
		}
		slices.SortStableFunc(want, func(a, b rank.Candidate) int { return int(b.Logit - a.Logit) })
		if got := rank.Top(row, k); !slices.Equal(got, want[:min(k, len(row))]) {
			t.Fatalf("top %d of %v: got %v", k, row, got)
		}
	})
}

func TestNaNRanksLast(t *testing.T) {
	nan := float32(math.NaN())
	got := rank.Top([]float32{nan, 1, nan, 3, float32(math.Inf(-1))}, 4)
	if got[0].ID != 3 || got[1].ID != 1 || got[2].ID != 4 {
		t.Fatalf("got %v", got)
	}
}
