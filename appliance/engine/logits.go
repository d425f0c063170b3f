package engine

import "math"

// Stats describes a row of logits before any filter.
type Stats struct {
	// Confidence is the probability of the most likely token, softmax at
	// temperature 1: what an exit's threshold is compared with.
	Confidence float64
	// Margin is the gap between the two best logits.
	Margin float64
	// LogSumExp of the row: log-probabilities are logits minus it.
	LogSumExp float64
}

// Describe computes the Stats of a row of logits.
func Describe(logits []float32) Stats {
	first, second := math.Inf(-1), math.Inf(-1)
	for _, l := range logits {
		if v := float64(l); v > first {
			first, second = v, first
		} else if v > second {
			second = v
		}
	}
	sum := 0.0
	for _, l := range logits {
		if d := float64(l) - first; d > -30 { // what lies below adds less than 1e-13 of the best each
			sum += math.Exp(d)
		}
	}
	return Stats{Confidence: 1 / sum, Margin: first - second, LogSumExp: first + math.Log(sum)}
}

// Best is the index of the largest of a row of logits, the first of equals.
func Best(row []float32) int {
	b := 0
	for i, v := range row {
		if v > row[b] {
			b = i
		}
	}
	return b
}
