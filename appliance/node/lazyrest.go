package node

import (
	"context"
	"errors"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
)

// LazyRest is the model after exit 1, for when the cloud is lost. It is opened
// once it is needed, so that a run whose cloud stays pays nothing for it.
type LazyRest struct {
	ctx    context.Context // of the run
	bundle *bundle.Bundle
	opt    engine.Options
	width  int

	stage  *engine.Stage // nil until it is opened
	failed error         // why it could not be
}

var _ decode.Stage = (*LazyRest)(nil)

// NewLazyRest opens nothing yet; ctx is of the run. The width is of the stage before it, in
// floats of a hidden state.
func NewLazyRest(ctx context.Context, b *bundle.Bundle, o engine.Options, width int) *LazyRest {
	return &LazyRest{ctx: ctx, bundle: b, opt: o, width: width}
}

// Width of the hidden states that it takes.
func (r *LazyRest) Width() int { return r.width }

// Forward opens the stage first, where need be, and computes.
func (r *LazyRest) Forward(b engine.Batch) (engine.Output, error) {
	if err := r.Ready(); err != nil {
		return engine.Output{}, err
	}
	return r.stage.Forward(b)
}

// Truncate forgets the positions of a sequence from pos on.
func (r *LazyRest) Truncate(seq, pos int) error {
	if r.stage == nil {
		return nil
	}
	return r.stage.Truncate(seq, pos)
}

// Close frees the stage, where it was opened.
func (r *LazyRest) Close() {
	if r.stage != nil {
		r.stage.Close()
	}
}

// Ready opens the stage, where it is not yet open. Its errors wrap decode.ErrNoTail,
// but for that of a run that has ended.
func (r *LazyRest) Ready() error {
	if r.stage != nil || r.failed != nil {
		return r.failed
	}
	err := r.open()
	if err != nil && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if err != nil {
		r.failed = fmt.Errorf("%w: %w", decode.ErrNoTail, err)
	}
	return r.failed
}

func (r *LazyRest) open() (err error) {
	var sizes batch.Sizes
	if err := AddStage(&sizes, r.bundle, bundle.Cloud); err != nil {
		return err
	}
	memory, _ := MachineMemory("/") // what is not known is no reason to refuse
	if _, err := batch.Fit(batch.Want{Context: r.opt.Context, Parallel: 1}, memory, sizes); errors.Is(err, batch.ErrMemory) {
		return err
	}
	if _, err := bundle.Open(r.ctx, r.bundle.Dir, bundle.Cloud); err != nil {
		return err
	}
	r.stage, err = engine.OpenStage(r.bundle.Path(bundle.Cloud), r.opt)
	return err
}
