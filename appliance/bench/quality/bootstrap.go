package quality

import (
	"math/rand/v2"
	"slices"
)

// Difference of a mean score to the unsplit model's, paired by question, with the interval
// that holds it at 95 % by the percentile bootstrap (Efron and Tibshirani, An Introduction to
// the Bootstrap, 1993, chapter 13). Entries are drawn, not answers: the turns of one
// conversation hang together.
type Difference struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// resamples is how often entries are drawn anew for an interval.
const resamples = 2000

// differ compares scores with those of the same answers by the unsplit model. Entry says
// which entry each is of; seed makes the draws repeatable. It returns nil for fewer than two
// entries, which tell of no spread.
func differ(scores, base []float64, entry []int, seed uint64) *Difference {
	type sum struct{ difference, answers float64 }
	var order []int
	sums := map[int]sum{}
	for i := range scores {
		s, seen := sums[entry[i]]
		if !seen {
			order = append(order, entry[i])
		}
		sums[entry[i]] = sum{s.difference + scores[i] - base[i], s.answers + 1}
	}
	if len(order) < 2 {
		return nil
	}
	mean := func(pick func(n int) int) float64 {
		var all sum
		for n := range order {
			s := sums[order[pick(n)]]
			all = sum{all.difference + s.difference, all.answers + s.answers}
		}
		return all.difference / all.answers
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	drawn := make([]float64, resamples)
	for i := range drawn {
		drawn[i] = mean(func(int) int { return rng.IntN(len(order)) })
	}
	slices.Sort(drawn)
	const tail = resamples / 40 // 2.5 % on either side
	return &Difference{Mean: mean(func(n int) int { return n }), Low: drawn[tail], High: drawn[resamples-1-tail]}
}
