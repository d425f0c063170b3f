package peer

import (
	"context"
	"math"
)

// Choice is a greedy token and how sure it was.
type Choice struct {
	Token  int32
	Margin float32 // the gap between the two best logits: small is a near-tie
}

// Greedy continues a prompt [n] by so many greedy tokens. It clears the cache and
// leaves prompt and all but the last of the tokens in it.
func (r *Runner) Greedy(ctx context.Context, prompt []int32, tokens int) ([]Choice, error) {
	if _, err := r.Prompt(ctx, prompt); err != nil {
		return nil, err
	}
	var said []Choice
	for range tokens {
		if n := len(said); n > 0 {
			if _, err := r.Decode(ctx, []int32{said[n-1].Token}); err != nil {
				return said, err
			}
		}
		row, err := r.Logits(ctx)
		if err != nil {
			return said, err
		}
		said = append(said, best(row))
	}
	return said, nil
}

// best is the most likely token of a row; of equal ones the first, as llama.cpp
// and our own sampler have it.
func best(row []float32) Choice {
	first, second, at := float32(math.Inf(-1)), float32(math.Inf(-1)), 0
	for i, v := range row {
		if v > first {
			first, second, at = v, first, i
		} else if v > second {
			second = v
		}
	}
	return Choice{int32(at), first - second}
}
