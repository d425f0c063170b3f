package decode

import (
	"slices"

	"skerry/appliance/infer"
)

// maxLogprobs is how many candidates may be asked for with a token.
const maxLogprobs = 20

// topK is how many of the likeliest candidates the cloud is asked for, 0 for all.
func (l *loop) topK() int {
	n := l.sampler.Need()
	if n > 0 && l.opt.Logprobs {
		n = max(n, l.opt.TopLogprobs)
	}
	return n
}

// short reports whether the grammar forbids so many of a row's candidates that the whole row
// is wanted. What is wrong with a row is found where a token is chosen from it.
func (l *loop) short(r Row) bool {
	if len(r.Logits) == 0 || len(r.IDs) != len(r.Logits) {
		return false
	}
	short, err := l.sampler.Short(r.IDs, r.Logits, len(l.tokens))
	return short && err == nil
}

// logprobs is the log probability of a token and of the top likeliest, from logits
// of all tokens or of the listed ones. The likelier comes first, of equals the
// lower id.
func logprobs(ids []int32, logits []float32, logSumExp float64, id int32, top int) (of float64, best []infer.Logprob) {
	name := func(i int) int32 {
		if ids != nil {
			return ids[i]
		}
		return int32(i)
	}
	for i, v := range logits {
		c := infer.Logprob{ID: name(i), Logprob: float64(v) - logSumExp}
		if c.ID == id {
			of = c.Logprob
		}
		if len(best) == top && (top == 0 || !before(c, best[top-1])) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, func(a, b infer.Logprob) int {
			if before(a, b) {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, at, c)[:min(len(best)+1, top)]
	}
	return of, best
}

// before says whether c is the likelier, or of equals has the lower id.
func before(c, d infer.Logprob) bool {
	return c.Logprob > d.Logprob || c.Logprob == d.Logprob && c.ID < d.ID
}
