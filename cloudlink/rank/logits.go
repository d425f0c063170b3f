package rank

import (
	"math"
)

// Among returns the k best of the ids in mask, all of them when k is 0.
func Among(row []float32, mask IDSet, k int) []Candidate {
	if n := mask.Len(); k <= 0 || k > n {
		k = n
	}
	return Best(func(yield func(Candidate) bool) {
		for id := range mask.All {
			if !yield(Candidate{ID: id, Logit: row[id]}) {
				return
			}
		}
	}, k)
}

// LogSumExp returns log(sum(exp(row))) over finite logits, with the largest
// taken out first so that nothing overflows.
func LogSumExp(row []float32) float64 {
	top := math.Inf(-1)
	for _, v := range row {
		if f := float64(v); f > top {
			top = f
		}
	}
	if math.IsInf(top, 0) {
		return top
	}
	var sum float64
	for _, v := range row {
		if d := float64(v) - top; d > -50 { // below, e^d is under float64's last bit of the sum
			sum += math.Exp(d)
		}
	}
	return top + math.Log(sum)
}
