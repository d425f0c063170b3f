package decode

import (
	"context"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// Unsplit runs the whole model in this process: it is the oracle.
const Unsplit infer.Mode = "unsplit"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Unsplit, Help: "the whole model on the board", Served: true,
		Sources: []infer.Source{infer.FromUnsplit},
	},
	Stages: WholeModel,
	step:   (*loop).unsplit,
})

// unsplit samples the whole model.
func (l *loop) unsplit(ctx context.Context) ([]infer.Token, error) {
	if err := l.advanceWhole(ctx); err != nil {
		return nil, err
	}
	t, err := l.choose(nil, l.row, engine.Describe(l.row), infer.FromUnsplit)
	if err != nil {
		return nil, err
	}
	t.Verified, t.Why = true, infer.WhyUnsplit
	return []infer.Token{t}, nil
}
