// Package rank orders candidate tokens by their logits. Whoever takes the best of a
// row takes the same ones, in the same order, whichever machine the row is on: equal
// logits at the edge of a top-k must not decide which token is sampled. It is a leaf:
// it imports nothing of the program.
package rank

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
)

// Candidate is a token with its logit.
type Candidate struct {
	ID    int32
	Logit float32
}

// Compare orders by falling logit, ties by rising id; NaN ranks last.
func Compare(a, b Candidate) int {
	return cmp.Or(cmp.Compare(b.Logit, a.Logit), cmp.Compare(a.ID, b.ID))
}

// Top returns the k best of row, [n_vocab]float32, best first.
func Top(row []float32, k int) []Candidate {
	return Best(func(yield func(Candidate) bool) {
		for i, logit := range row {
			if !yield(Candidate{int32(i), logit}) {
				return
			}
		}
	}, min(k, len(row)))
}

// Best returns the k best candidates, best first; fewer where there are fewer.
func Best(all iter.Seq[Candidate], k int) []Candidate {
	best := make(worstFirst, 0, max(k, 0))
	for c := range all {
		best.add(c)
	}
	slices.SortFunc(best, Compare)
	return best
}

// worstFirst keeps the best candidates so far, up to its capacity: once it is full, in
// a heap with the worst on top, so that most of a vocabulary is turned away by one
// comparison. Only its top is ever replaced.
type worstFirst []Candidate

func (w *worstFirst) add(c Candidate) {
	switch best := *w; {
	case len(best) < cap(best):
		if *w = append(best, c); len(*w) == cap(*w) {
			heap.Init(*w)
		}
	case len(best) == 0 || c.Logit < best[0].Logit:
	case Compare(best[0], c) > 0:
		best[0] = c
		heap.Fix(best, 0)
	}
}

func (w worstFirst) Len() int           { return len(w) }
func (w worstFirst) Less(i, j int) bool { return Compare(w[i], w[j]) > 0 }
func (w worstFirst) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w worstFirst) Push(any)           {}
func (w worstFirst) Pop() any           { return nil }
