package decode

import (
	"context"
	"math/rand/v2"
	"skerry/appliance/bench"
	"time"
)

// samples are the seconds of each candidate, by round; of the memory, the
// seconds a byte.
type samples map[string][]float64

// measure is one turn of a candidate; it returns seconds.
type measure func(ctx context.Context, c candidate) (float64, error)

// settle lets a candidate's idle threads, which spin for a while after a graph,
// go to sleep before the next one's turn.
const settle = 150 * time.Millisecond

// rounds gives each of the candidates a turn a round, in an order drawn anew,
// after as many rounds to warm up, which do not count. It ends after o.Rounds, or
// at the deadline once a round is whole; a round that was begun counts for nobody.
func (r *fixture) rounds(ctx context.Context, step string, entries []candidate, warmUp int, deadline time.Time, rng *rand.Rand, m measure) (samples, error) {
	all := samples{}
	for n := -warmUp; n < r.o.Rounds; n++ {
		r.o.report(step, n+warmUp, r.o.Rounds+warmUp)
		round := map[string]float64{}
		for _, i := range rng.Perm(len(entries)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if len(all[unsplit]) > 0 && time.Now().After(deadline) {
				return all, nil
			}
			c := entries[i]
			v, err := r.turn(ctx, c, m)
			if err != nil {
				return nil, err
			}
			round[c.name] = v
			if r.o.Poll > 0 || c.name == peer {
				time.Sleep(settle)
			}
		}
		if n < 0 {
			continue
		}
		for name, v := range round {
			all[name] = append(all[name], v)
		}
	}
	r.o.report(step, r.o.Rounds+warmUp, r.o.Rounds+warmUp)
	return all, nil
}

func (r *fixture) turn(ctx context.Context, c candidate, m measure) (float64, error) {
	if c.name == memory {
		return 1 / r.reader.read(), nil
	}
	return m(ctx, c)
}

// prompt times the prefill of tokens.
func prompt(tokens []int32) measure {
	return func(ctx context.Context, c candidate) (float64, error) {
		d, err := c.Prompt(ctx, tokens)
		return d.Seconds(), err
	}
}

// decode times tokens one by one after a short prompt, and takes the median: one
// that another process got in the way of does not count.
func decode(tokens []int32) measure {
	return func(ctx context.Context, c candidate) (float64, error) {
		if _, err := c.Prompt(ctx, tokens[:shortPrompt]); err != nil {
			return 0, err
		}
		var steps []float64
		for i := shortPrompt; i < len(tokens); i++ {
			d, err := c.Decode(ctx, tokens[i:i+1])
			if err != nil {
				return 0, err
			}
			steps = append(steps, d.Seconds())
		}
		return bench.Median(steps), nil
	}
}

// tokensFrom draws n ids; speed does not depend on which.
func tokensFrom(rng *rand.Rand, vocab, n int) []int32 {
	t := make([]int32, n)
	for i := range t {
		t[i] = int32(rng.IntN(vocab))
	}
	return t
}
