package bench

import (
	"math"
	"slices"
)

// Quartiles of a sample, interpolated linearly between its values.
type Quartiles struct {
	P25 float64 `json:"p25"`
	P50 float64 `json:"p50"`
	P75 float64 `json:"p75"`
}

// QuartilesOf returns nil for an empty sample.
func QuartilesOf(x []float64) *Quartiles {
	if len(x) == 0 {
		return nil
	}
	s := slices.Sorted(slices.Values(x))
	return &Quartiles{quantile(s, 0.25), quantile(s, 0.5), quantile(s, 0.75)}
}

// Inverse are the quartiles of the inverse of what these are the quartiles of, all of it
// above 0.
func (q Quartiles) Inverse() Quartiles { return Quartiles{1 / q.P75, 1 / q.P50, 1 / q.P25} }

// quantile of a sorted sample: the lowest value at 0, the highest at 1.
func quantile(s []float64, q float64) float64 {
	at := q * float64(len(s)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(s)-1)
	return s[low] + (at-float64(low))*(s[high]-s[low])
}

// Median of a sample, NaN of none.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return quantile(slices.Sorted(slices.Values(x)), 0.5)
}

// Ratios divides two samples round by round; rounds that both have.
func Ratios(over, under []float64) []float64 {
	var r []float64
	for i := range min(len(over), len(under)) {
		r = append(r, over[i]/under[i])
	}
	return r
}
