package decode

import (
	"context"
	"time"

	"skerry/appliance/engine"
)

// chain is a way through stages to logits: the whole model, the slices one after
// the other, or the first of them and an exit head.
type chain struct {
	stages []*engine.Stage
	head   *engine.Head // nil: the last stage's own
}

// forward computes tokens at positions from pos on, with logits of the last.
// The first stage of several, or one with a head, hands on the hidden states of
// all, as a board does that feeds its cloud.
func (c *chain) forward(pos int, tokens []int32) error {
	var hidden []float32
	for i, s := range c.stages {
		b := engine.NewBatch(0, pos, len(tokens), 0)
		last := i == len(c.stages)-1
		switch {
		case last && c.head == nil:
			b.Want[len(tokens)-1] = engine.WantLogits
		case i > 0 && last:
			b.Want[len(tokens)-1] = engine.WantHidden
		default:
			for k := range b.Want {
				b.Want[k] = engine.WantHidden
			}
		}
		if b.Hidden = hidden; hidden == nil {
			b.Tokens = tokens
		}
		out, err := s.Forward(b)
		if err != nil {
			return err
		}
		hidden = out.Hidden
	}
	if c.head == nil {
		return nil
	}
	_, err := c.head.Logits(hidden[len(hidden)-c.stages[0].Width():])
	return err
}

func (c *chain) reset() error {
	for _, s := range c.stages {
		if err := s.Truncate(0, 0); err != nil {
			return err
		}
	}
	return nil
}

// Prompt and Decode make a chain a PeerRunner: what is measured of a peer is
// measured of a chain alike.

// Prompt evaluates tokens in an empty cache.
func (c *chain) Prompt(_ context.Context, tokens []int32) (time.Duration, error) {
	if err := c.reset(); err != nil {
		return 0, err
	}
	start := time.Now()
	err := c.forward(0, tokens)
	return time.Since(start), err
}

// Decode goes on token by token.
func (c *chain) Decode(ctx context.Context, tokens []int32) (time.Duration, error) {
	start := time.Now()
	for i := range tokens {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := c.forward(c.stages[0].Position(0), tokens[i:i+1]); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// Close leaves the stages open: several chains share them.
func (c *chain) Close() error { return nil }
