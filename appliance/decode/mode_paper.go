package decode

import (
	"context"

	"skerry/appliance/infer"
)

// Paper is CE-CoLLM's protocol as published: a fixed threshold, each position sent once in
// half precision, and a board that does nothing while it waits.
const Paper infer.Mode = "paper"

// PaperThreshold is the lowest of the paper's thresholds, and Paper's default.
const PaperThreshold = 0.8

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Paper, Help: "CE-CoLLM's protocol as published", Cloud: true, Baseline: true,
		Sources: []infer.Source{infer.Exit1, infer.Exit2, infer.FromCloud, infer.Fallback},
	},
	Stages:    ExitStages,
	Exits:     true,
	Threshold: PaperThreshold,
	Upload:    Upload{Encoding: "f16"},
	step:      (*loop).paper,
})

// paper believes an exit, or waits for the cloud.
func (l *loop) paper(ctx context.Context) ([]infer.Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	t, sure, err := l.propose(ctx, false)
	if err != nil || sure {
		return []infer.Token{t}, err
	}
	if l.cloudErr == nil {
		if t, err := l.askBlocking(ctx); err == nil {
			return []infer.Token{t}, nil
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		} else {
			l.giveUpCloud(err)
		}
	}
	if l.opt.OnLoss == infer.EndAnswer {
		return l.endWithoutCloud(ctx, l.cloudErr)
	}
	t, sure, err = l.propose(ctx, true)
	if !sure {
		t.Source, t.Why = infer.Fallback, infer.WhyLost
	}
	return []infer.Token{t}, err
}
