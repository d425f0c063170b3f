package decode

import "slices"

// mostLogprobs is how many candidates a token may be told with.
const mostLogprobs = 20

// need is how many of the likeliest candidates the cloud is asked for, 0 for all.
func (l *loop) need() int {
	n := l.sampler.Need()
	if n > 0 && l.opt.Logprobs {
		n = max(n, l.opt.TopLogprobs)
	}
	return n
}

// logprobs is the log probability of a token and of the top likeliest, from logits
// of all tokens or of the listed ones. The likelier comes first, of equals the
// lower id.
func logprobs(ids []int32, logits []float32, logSumExp float64, id int32, top int) (of float64, best []Candidate) {
	name := func(i int) int32 {
		if ids != nil {
			return ids[i]
		}
		return int32(i)
	}
	for i, v := range logits {
		c := Candidate{name(i), float64(v) - logSumExp}
		if c.ID == id {
			of = c.Logprob
		}
		if len(best) == top && (top == 0 || !c.before(best[top-1])) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, func(a, b Candidate) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		best = slices.Insert(best, at, c)[:min(len(best)+1, top)]
	}
	return of, best
}

func (c Candidate) before(d Candidate) bool {
	return c.Logprob > d.Logprob || c.Logprob == d.Logprob && c.ID < d.ID
}
