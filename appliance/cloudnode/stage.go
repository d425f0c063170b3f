package cloudnode

import (
	"context"
	"fmt"
	"sync"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/draftmodel"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink/partition"
)

// Tail is the last blocks of a model, an engine's stage, as the partition wants them.
type Tail struct{ *engine.Stage }

// NewTail makes a partition's stage of an engine's, which stays the caller's to close.
func NewTail(s *engine.Stage) *Tail { return &Tail{s} }

// Vocab is the number of logits in a row.
func (t *Tail) Vocab() int { return t.VocabSize() }

// Sequences are the contexts that the KV cache was made for.
func (t *Tail) Sequences() int { return t.Options().Sequences }

// Context is how many positions each sequence may hold.
func (t *Tail) Context() int { return t.Options().PerSequence() }

// MaxRows is how many positions one pass may compute.
func (t *Tail) MaxRows() int { return t.Options().Rows }

// Bytes are those of the weights and of the KV cache in memory.
func (t *Tail) Bytes() (weights, kv int64) {
	m := t.Memory()
	return m.Weights, m.KV
}

// Forward computes rows of hidden states and returns the logits of those that want them,
// [m][n_vocab]float32.
func (t *Tail) Forward(rows partition.Rows) ([]float32, error) {
	b := engine.Batch{Pos: rows.Pos, Seq: rows.Seq, Hidden: rows.Hidden, Tokens: rows.Tokens, Want: make([]engine.Want, rows.Len())}
	for i, wanted := range rows.Wanted {
		if wanted {
			b.Want[i] = engine.WantLogits
		}
	}
	out, err := t.Stage.Forward(b)
	return out.Logits, err
}

// Whole is all blocks of a model, as the partition wants them: Tail over rows of token
// ids.
type Whole struct{ Tail }

// NewWhole makes a partition's whole model of an engine's stage, which stays the
// caller's to close.
func NewWhole(s *engine.Stage) *Whole { return &Whole{Tail{s}} }

// openWhole loads the whole model of the bundle in dir, for boards whose tokens may be
// seen here.
func openWhole(ctx context.Context, dir string, o engine.Options) (*engine.Stage, error) {
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return nil, fmt.Errorf("%s: the whole model is not in the bundle: split it without --no-unsplit, or leave --whole out", dir)
	}
	b, err := bundle.Open(ctx, dir, bundle.Unsplit)
	if err != nil {
		return nil, err
	}
	return engine.OpenStage(b.Path(bundle.Unsplit), o)
}

// openDraft loads the draft model of the bundle in dir, nil where it has none that makes sense.
func openDraft(ctx context.Context, dir string, o engine.Options) (*engine.Stage, *decode.DraftModel, error) {
	m, err := bundle.ReadManifest(dir)
	if err != nil || m.Draft == nil || !m.Draft.Speaks() {
		return nil, nil, err
	}
	b, err := bundle.Open(ctx, dir, bundle.DraftModel)
	if err != nil {
		return nil, nil, err
	}
	return draftmodel.Open(b, o)
}

// inTurn is a whole model that computes while nothing else does that shares its cores.
type inTurn struct {
	*Whole
	turn sync.Locker
}

func (w *inTurn) Forward(rows partition.Rows) ([]float32, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	return w.Whole.Forward(rows)
}
