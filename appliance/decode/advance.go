package decode

import (
	"context"
	"fmt"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// advanceHead computes the head stage through the last token and hands the
// hidden states on, to the mid stage's backlog and to the cloud.
func (l *loop) advanceHead(ctx context.Context) error { return l.advanceHeadOver(ctx, l.tokens) }

// advanceHeadOver is advanceHead for a text that begins with the session's tokens. What is
// behind them is to be decided, or rolled back, before the step ends.
func (l *loop) advanceHeadOver(ctx context.Context, text []int32) error {
	stage := l.model.Exits[0].Stage
	for l.head < len(text) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.batch(text, min(prefillRows, len(text)-l.head), engine.WantHidden)
		out, err := stage.Forward(b)
		if err != nil {
			return err
		}
		if l.mid != nil {
			if err := l.mid.push(l.head, out.Hidden); err != nil {
				return err
			}
		}
		l.hidden = out.Hidden[len(out.Hidden)-stage.Width():]
		l.keepRows(out.Hidden)
		l.computed(len(b.Pos))
		l.uploadRows()
	}
	return nil
}

// computed notes that n further positions are.
func (l *loop) computed(n int) {
	l.head += n
	l.publish()
	if l.opt.Prefill != nil && l.result.FirstToken == 0 {
		l.opt.Prefill(l.head, len(l.tokens))
	}
}

// draftComputed tells how far a prompt is that the draft model computes by itself.
func (l *loop) draftComputed(done int) {
	if l.opt.Prefill != nil && l.result.FirstToken == 0 && !l.mode.Cloud {
		l.opt.Prefill(done, len(l.tokens))
	}
}

// advanceWhole computes the whole model through the last token.
func (l *loop) advanceWhole(ctx context.Context) error {
	for l.head < len(l.tokens) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.batch(l.tokens, min(4*prefillRows, len(l.tokens)-l.head), 0)
		if n := len(b.Pos); l.head+n == len(l.tokens) {
			b.Want[n-1] = engine.WantLogits
		}
		out, err := l.model.Whole.Forward(b)
		if err != nil {
			return err
		}
		l.row = out.Logits
		l.computed(len(b.Pos))
	}
	return nil
}

// batch of the next n tokens of a text, all wanting the same.
func (l *loop) batch(text []int32, n int, want engine.Want) engine.Batch {
	b := engine.NewBatch(l.seq, l.head, n, want)
	b.Tokens = text[l.head : l.head+n]
	return b
}

// choose samples the token after the last one from logits, of all tokens or of
// the listed ones.
func (l *loop) choose(ids []int32, logits []float32, d engine.Stats, source infer.Source) (infer.Token, error) {
	id, err := l.sampler.Sample(ids, logits, len(l.tokens))
	if err != nil {
		return infer.Token{}, fmt.Errorf("%s, position %d: %w", source, len(l.tokens), err)
	}
	t := infer.Token{ID: id, Source: source, Confidence: d.Confidence, Margin: d.Margin}
	if l.opt.Logprobs {
		t.Logprob, t.Top = logprobs(ids, logits, d.LogSumExp, id, l.opt.TopLogprobs)
	}
	return t, nil
}
