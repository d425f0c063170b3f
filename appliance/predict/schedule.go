package predict

// pipeline is the board drafting and the cloud checking at the same time.
type pipeline struct {
	draft  float64                // time of a drafted token
	there  float64                // from a draft to its position being at the cloud
	back   float64                // from a check to the board knowing it
	window int                    // drafts beyond the last that was heard of
	check  func(rows int) float64 // time of a batch in the cloud
}

// tie is less than two times of different events differ by.
const tie = 1e-9

// runLength is how many drafts are followed that were all right.
const runLength = 192

// run are drafts from a token that is known to be right on, as long as none is found wrong:
// the time at which each was ready at the board and at which the board heard of it, what the
// cloud had computed by then, and in how many checks. What is wrong changes nothing before
// it is heard of, so that one run tells of a wrong draft at every place.
type run struct {
	ready, heard, cloud []float64
	checks              []int
}

// start follows n drafts: the cloud checks whatever has come as one batch as soon as it is
// free, and the board drafts while it is at most window ahead of what it has heard.
func (p pipeline) start(n int) (r run) {
	var come []float64 // at the cloud
	last := 0.0
	arrival := func(k int) float64 {
		for q := len(come); q <= k; q++ {
			if q >= p.window {
				last = max(last, r.heard[q-p.window])
			}
			last += p.draft
			r.ready, come = append(r.ready, last), append(come, last+p.there)
		}
		return come[k]
	}
	free, busy := 0.0, 0.0
	for i, checks := 0, 1; i < n; checks++ {
		begin := max(free, arrival(i))
		k := 1
		for k < p.window && i+k < n && arrival(i+k) <= begin {
			k++
		}
		took := p.check(k)
		free, busy = begin+took, busy+took
		for range k {
			r.heard, r.cloud, r.checks = append(r.heard, free+p.back), append(r.cloud, busy), append(r.checks, checks)
		}
		i += k
	}
	return r
}

// perToken are the means for each token of an answer of n tokens: the time, the cloud's time,
// the drafts made, and the times that a wrong one was heard of. A draft is right with
// probability g; a wrong one is a token too, since its check says what is right.
func (p pipeline) perToken(g float64, n int) (took, cloud, drafts, waits float64) {
	n = min(n, runLength)
	r := p.start(n)
	tokens, left, made := 0.0, 1.0, 0
	for i := range n {
		ends := left * (1 - g)
		if i == n-1 { // the answer is over, right or wrong
			ends = left
		}
		for made < len(r.ready) && r.ready[made] < r.heard[i]-tie {
			made++
		}
		took += ends * r.heard[i]
		cloud += ends * r.cloud[i]
		drafts += ends * float64(max(made, i+1))
		waits += ends
		tokens += left
		left *= g
	}
	return took / tokens, cloud / tokens, drafts / tokens, waits / tokens
}
