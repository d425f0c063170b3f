package decode

import (
	"testing"

	"skerry/appliance/bench"
)

func TestMarginalCost(t *testing.T) {
	points := batchPoints(1, []int{1, 5})
	// Of a batch of 5 each further position costs a quarter of the first, then half.
	c := costsOf(points, [][]float64{{1, 2}, {2, 6}, {2, 6}})
	if c[0].M != nil || c[0].Milliseconds.P50 != 1500 {
		t.Errorf("a batch of 1: %+v", c[0])
	}
	if *c[1].M != (bench.Quartiles{P25: 0.3125, P50: 0.375, P75: 0.4375}) {
		t.Errorf("m is %+v", *c[1].M)
	}
}
