package decode

import (
	"context"
	"errors"
	"fmt"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// Pooling is how the hidden states of a text become one vector: their mean over its
// positions, after the last block and the output norm, scaled to length 1.
const Pooling = "mean"

// embedRows are computed at once. llama.cpp keeps room for a row of logits for every row that
// comes out of the last block; this many are in the plan of memory.
const embedRows = 16

// ErrNoEmbedding is wrapped by the error of a model that makes no embeddings.
var ErrNoEmbedding = errors.New("no embeddings can be made")

// embedder are the stages that are the whole model together, in their order, and how many
// positions they hold.
func (m Model) embedder() (stages []Stage, positions int, err error) {
	switch {
	case m.Whole != nil:
		return []Stage{m.Whole}, m.Context, nil
	case len(m.Exits) > 0 && m.Tail != nil && !m.SendsTokens():
		if positions = m.Context; m.TailContext > 0 {
			positions = min(positions, m.TailContext)
		}
		return []Stage{m.Exits[0].Stage, m.Tail}, positions, nil
	}
	return nil, 0, fmt.Errorf("%w: this board holds only a part of the model's blocks", ErrNoEmbedding)
}

// Embeds returns how many positions a text may have that Session.Embed makes a vector of, or
// an error that wraps ErrNoEmbedding.
func (m Model) Embeds() (positions int, err error) {
	_, positions, err = m.embedder()
	return positions, err
}

// Embed pools the hidden states of a text, [n_embd]float32 of length 1. It forgets what the
// session held, and the session holds nothing afterwards. Progress (which may be nil) is
// told how many positions are computed. Errors are ctx's, the stages', and one that wraps
// ErrNoEmbedding.
func (s *Session) Embed(ctx context.Context, tokens []int32, progress func(done, total int)) (vector []float32, err error) {
	stages, positions, err := s.model.embedder()
	switch {
	case err != nil:
		return nil, err
	case len(tokens) == 0:
		return nil, errors.New("the text is empty")
	case len(tokens) > positions:
		return nil, &engine.ContextFullError{Positions: len(tokens), Context: positions}
	}
	if err := s.Truncate(0); err != nil {
		return nil, err
	}
	defer func() {
		for _, stage := range stages {
			err = errors.Join(err, stage.Truncate(s.seq, 0))
		}
	}()
	sum := make([]float64, stages[len(stages)-1].Width())
	for at := 0; at < len(tokens); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(embedRows, len(tokens)-at)
		rows, err := s.normedRows(stages, tokens[at:at+n], at)
		if err != nil {
			return nil, err
		}
		for i, v := range rows {
			sum[i%len(sum)] += float64(v)
		}
		if at += n; progress != nil {
			progress(at, len(tokens))
		}
	}
	vector, length := infer.Unit(sum)
	if vector == nil {
		return nil, fmt.Errorf("the hidden states come to a vector of length %v", length)
	}
	return vector, nil
}

// normedRows computes tokens from a position on through all stages.
func (s *Session) normedRows(stages []Stage, tokens []int32, pos int) ([]float32, error) {
	var out engine.Output
	for i, stage := range stages {
		b := engine.NewBatch(s.seq, pos, len(tokens), engine.WantHidden)
		if i == 0 {
			b.Tokens = tokens
		} else {
			b.Hidden = out.Hidden
		}
		if i == len(stages)-1 {
			for k := range b.Want {
				b.Want[k] = engine.WantNorm
			}
		}
		var err error
		if out, err = stage.Forward(b); err != nil {
			return nil, err
		}
	}
	return out.Hidden, nil
}
