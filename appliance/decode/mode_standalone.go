package decode

import (
	"context"
	"errors"

	"skerry/appliance/infer"
)

// Standalone never asks the cloud: a draft model is sampled, or exit 1 or exit 2.
const Standalone infer.Mode = "standalone"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Standalone, Help: "never asks the cloud", Served: true,
		Sources: DraftSources(),
	},
	Stages: ExitStages,
	Exits:  true,
	Drafts: true,
	step:   (*loop).standalone,
})

// standalone samples the draft model, where there is one: the head stage then computes
// nothing. Else it samples the first exit that is believed, or the deepest.
func (l *loop) standalone(ctx context.Context) ([]infer.Token, error) {
	if l.draft == nil {
		if err := l.advanceHead(ctx); err != nil {
			return nil, err
		}
	}
	t, sure, err := l.propose(ctx, true)
	if errors.Is(err, errNoDraft) {
		return l.standalone(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !sure || t.Source == infer.FromDraft { // which is not asked for what it is sure of
		t.Why = infer.WhyStandalone
	}
	return []infer.Token{t}, nil
}
