package decode

import (
	"context"

	"skerry/appliance/infer"
)

// Naive is the split model without exits: every token is the cloud's, and before every
// token the hidden states of the whole prefix go up again. The cloud keeps its KV cache,
// so that only bytes repeat, as the cloud's share of the time in CE-CoLLM's table says of
// theirs.
const Naive infer.Mode = "naive"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Naive, Help: "the split model without exits, which sends the whole prefix again for every token", Cloud: true, Baseline: true,
		Sources: []infer.Source{infer.FromCloud},
	},
	Stages: ExitStages,
	Upload: Upload{Repeats: true},
	step:   (*loop).naive,
})

// Resender is a Cloud that can send hidden states again, for Naive.
type Resender interface {
	// Resend queues the positions from on to the end for upload once more, ahead
	// of what is appended after.
	Resend(from int) error
}

// naive asks the cloud for every token.
func (l *loop) naive(ctx context.Context) ([]infer.Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	if l.cloudErr != nil {
		return l.endWithoutCloud(ctx, l.cloudErr)
	}
	t, err := l.askBlocking(ctx)
	if err != nil {
		return l.endWithoutCloud(ctx, err)
	}
	return []infer.Token{t}, nil
}

// resend has the whole prefix go up again, once for each token and before what is
// new: the answer has to wait for all of it.
func (l *loop) resend() error {
	if !l.mode.Upload.Repeats || l.resent == len(l.tokens) {
		return nil
	}
	l.resent = len(l.tokens)
	return l.cloud.(Resender).Resend(0)
}
