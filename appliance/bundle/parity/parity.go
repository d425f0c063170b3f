// Package parity compares the stages of a bundle with the whole model they were
// cut from, by computing both: it is the one place where bundles meet the engine.
package parity

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/split"
	"skerry/appliance/engine"
)

// Quantize is the engine's requantizer, as split.Model takes it.
func Quantize(dst, src gguf.Type, cols int, data []byte) ([]byte, error) {
	return engine.Requantize(int32(dst), int32(src), cols, data)
}

// positions is how many positions a split is checked on.
const positions = 64

// tolerance is how far the logits of chained stages may lie from those of
// the whole model. On x86 with flash attention they are equal to the last bit;
// elsewhere results depend a little on the batch.
const tolerance = 1e-2

// text is what the check reads; its words do not matter.
const text = "The keeper climbed the tower at dusk, trimmed the wick and lit the lamp. " +
	"Far out, a ship that had been steering by the stars turned slowly toward the harbour, " +
	"and by the time the fog came in over the rocks, every rope had been made fast and the crew was ashore."

// Check chains the slices in dir and compares them with the whole model there:
// the hidden states after each exit, and the logits at each of 64 positions. An
// error says which differ and by how much. Of a draft it is checked that the engine computes
// with it; the error then wraps bundle.ErrDraft. It is split.Options.Parity.
func Check(ctx context.Context, dir string, m *bundle.Manifest) (bundle.ParityResult, error) {
	r := bundle.ParityResult{Kernels: engine.Init("").Variant}
	p := chain{dir: dir, dim: m.Embedding}
	if m.Draft != nil {
		if err := p.draft(); err != nil {
			return r, err
		}
	}
	tokens, err := p.tokens()
	if err != nil {
		return r, err
	}
	r.Positions = len(tokens)
	h := map[int][]float32{}
	if h[m.Exits[0]], err = p.hidden(bundle.Board1, 0, tokens, nil); err != nil {
		return r, err
	}
	if len(m.Exits) > 1 {
		if h[m.Exits[1]], err = p.hidden(bundle.Board2, 0, nil, h[m.Exits[0]]); err != nil {
			return r, err
		}
	}
	for _, e := range m.Exits {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		whole, err := p.hidden(bundle.Unsplit, e, tokens, nil)
		if err != nil {
			return r, err
		}
		if d := maxDiff(whole, h[e]); !(d <= tolerance) {
			return r, fmt.Errorf("%w: hidden states after block %d differ from the whole model's by up to %g: choose other exits", split.ErrParity, e, d)
		}
	}
	chained, err := p.logits(bundle.Cloud, nil, h[m.Exits[0]])
	if err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	whole, err := p.logits(bundle.Unsplit, tokens, nil)
	if err != nil {
		return r, err
	}
	if len(chained) != len(whole) {
		return r, fmt.Errorf("%d logits from the chain, %d from the whole model", len(chained), len(whole))
	}
	r.MaxAbsDiff = maxDiff(chained, whole)
	vocab := len(whole) / len(tokens)
	for i := 0; i < len(whole); i += vocab {
		if engine.Best(chained[i:i+vocab]) == engine.Best(whole[i:i+vocab]) {
			r.EqualTokens++
		}
	}
	if !(r.MaxAbsDiff <= tolerance) {
		return r, fmt.Errorf("%w: logits differ from the whole model's by up to %g, %d of %d tokens are equal: choose other exits", split.ErrParity, r.MaxAbsDiff, r.EqualTokens, r.Positions)
	}
	return r, nil
}

// chain computes parts of a bundle one at a time, so that memory holds one.
type chain struct {
	dir string
	dim int
}

func (p *chain) path(r bundle.Role) string { return filepath.Join(p.dir, r.File()) }

func (p *chain) tokens() ([]int32, error) {
	v, err := engine.OpenVocab(p.path(bundle.Board1))
	if err != nil {
		return nil, err
	}
	defer v.Close()
	ids, err := v.Tokenize(text, true, false)
	if err != nil {
		return nil, err
	}
	for len(ids) > 0 && len(ids) < positions {
		ids = append(ids, ids...)
	}
	return ids[:min(len(ids), positions)], nil
}

func (p *chain) hidden(role bundle.Role, tap int, tokens []int32, in []float32) ([]float32, error) {
	out, err := p.forward(role, tap, engine.WantHidden, tokens, in)
	return out.Hidden, err
}

func (p *chain) logits(role bundle.Role, tokens []int32, in []float32) ([]float32, error) {
	out, err := p.forward(role, 0, engine.WantLogits, tokens, in)
	return out.Logits, err
}

func (p *chain) forward(role bundle.Role, tap int, want engine.Want, tokens []int32, in []float32) (engine.Output, error) {
	s, err := engine.OpenStage(p.path(role), engine.Options{Context: positions, Rows: positions, Tap: tap})
	if err != nil {
		return engine.Output{}, err
	}
	defer s.Close()
	n := len(tokens) + len(in)/p.dim
	b := engine.NewBatch(0, 0, n, want)
	b.Tokens, b.Hidden = tokens, in
	return s.Forward(b)
}

// draft has the draft model compute one token.
func (p *chain) draft() error {
	s, err := engine.OpenStage(p.path(bundle.DraftModel), engine.Options{Context: 16})
	if err == nil {
		defer s.Close()
		b := engine.NewBatch(0, 0, 1, engine.WantLogits)
		b.Tokens = []int32{0}
		_, err = s.Forward(b)
	}
	if err != nil {
		return fmt.Errorf("%w: %w: take another small model, or split without --draft", bundle.ErrDraft, err)
	}
	return nil
}

func maxDiff(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	d := 0.0
	for i := range a {
		if x := math.Abs(float64(a[i]) - float64(b[i])); x > d || math.IsNaN(x) {
			d = x
		}
	}
	return d
}
