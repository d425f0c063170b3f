package partition

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// candidate is a token with its logit.
type candidate struct {
	id    int32
	logit float32
}

// worse reports whether a ranks behind b: by falling logit, ties by rising id.
// NaN ranks last.
func worse(a, b candidate) bool { return rank(a, b) > 0 }

func rank(a, b candidate) int {
	return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
}

// topK returns the k best of row, [n_vocab]float32, best first. It keeps the
// best so far in a heap with the worst on top: most of a vocabulary is turned
// away by one comparison.
func topK(row []float32, k int) []candidate {
	k = min(k, len(row))
	if k <= 0 {
		return nil
	}
	best := make(ranked, k)
	for i := range best {
		best[i] = candidate{int32(i), row[i]}
	}
	heap.Init(best)
	for i, logit := range row[k:] {
		if logit < best[0].logit {
			continue
		}
		if c := (candidate{int32(k + i), logit}); worse(best[0], c) {
			best[0] = c
			heap.Fix(best, 0)
		}
	}
	slices.SortFunc(best, rank)
	return best
}

// among returns the k best of the ids in mask, all of them when k is 0. Ids
// beyond the vocabulary and repeated ones are left out.
func among(row []float32, mask []int32, k int) []candidate {
	out := make([]candidate, 0, len(mask))
	for _, id := range mask {
		if id >= 0 && int(id) < len(row) {
			out = append(out, candidate{id, row[id]})
		}
	}
	slices.SortFunc(out, rank)
	out = slices.Compact(out)
	if k > 0 && k < len(out) {
		out = out[:k]
	}
	return out
}

// ranked is a container/heap with the worst candidate on top. It only ever has
// its top replaced, so Push and Pop are not needed.
type ranked []candidate

func (r ranked) Len() int           { return len(r) }
func (r ranked) Less(i, j int) bool { return worse(r[i], r[j]) }
func (r ranked) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r ranked) Push(any)           {}
func (r ranked) Pop() any           { return nil }

// logSumExp returns log(sum(exp(row))) over finite logits, with the largest
// taken out first so that nothing overflows.
func logSumExp(row []float32) float64 {
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
