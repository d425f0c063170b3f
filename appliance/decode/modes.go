package decode

import (
	"context"
	"fmt"

	"skerry/appliance/engine"
)

// step decides the next token, or several at once, after the session's tokens.
// What it returns beside an error was decided before it.
type step func(l *loop, ctx context.Context) ([]Token, error)

// steps has one way of deciding for each mode, built from the same parts: the
// head stage, the exits, the ask.
var steps = map[Mode]step{
	Unsplit:       (*loop).unsplit,
	Standalone:    (*loop).standalone,
	Collaborative: (*loop).collaborative,
	CloudOnly:     (*loop).cloudOnly,
	Naive:         (*loop).naive,
	Paper:         (*loop).paper,
}

func (l *loop) unsplit(ctx context.Context) ([]Token, error) {
	if err := l.advanceWhole(ctx); err != nil {
		return nil, err
	}
	t, err := l.choose(nil, l.row, engine.Describe(l.row), FromUnsplit)
	if err != nil {
		return nil, err
	}
	t.Verified, t.Why = true, Whole
	return []Token{t}, nil
}

func (l *loop) standalone(ctx context.Context) ([]Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	t, _, err := l.exits(true)
	if err != nil {
		return nil, err
	}
	if t.Why == "" {
		t.Why = Alone
	}
	return []Token{t}, nil
}

// advanceHead computes the head stage through the last token and hands the
// hidden states on, to the mid stage's backlog and to the cloud.
func (l *loop) advanceHead(ctx context.Context) error {
	stage := l.model.Exits[0].Stage
	for l.head < len(l.tokens) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.batch(min(prefillRows, len(l.tokens)-l.head), engine.WantHidden)
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
		l.feed()
	}
	return nil
}

// computed notes that n further positions are.
func (l *loop) computed(n int) {
	l.head += n
	l.settled()
	if l.opt.Prefill != nil && l.answer.FirstToken == 0 {
		l.opt.Prefill(l.head, len(l.tokens))
	}
}

// advanceWhole computes the whole model through the last token.
func (l *loop) advanceWhole(ctx context.Context) error {
	for l.head < len(l.tokens) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.batch(min(4*prefillRows, len(l.tokens)-l.head), 0)
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

// batch of the next n tokens, all wanting the same.
func (l *loop) batch(n int, want engine.Want) engine.Batch {
	b := engine.NewBatch(l.seq, l.head, n, want)
	b.Tokens = l.tokens[l.head : l.head+n]
	return b
}

// choose samples the token after the last one from logits, of all tokens or of
// the listed ones.
func (l *loop) choose(ids []int32, logits []float32, d engine.Stats, source Source) (Token, error) {
	id, err := l.sampler.Sample(ids, logits, len(l.tokens))
	if err != nil {
		return Token{}, fmt.Errorf("%s, position %d: %w", source, len(l.tokens), err)
	}
	t := Token{ID: id, Source: source, Confidence: d.Confidence, Margin: d.Margin}
	if l.opt.Logprobs {
		t.Logprob, t.Top = logprobs(ids, logits, d.LogSumExp, id, l.opt.TopLogprobs)
	}
	return t, nil
}
