package decode

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"skerry/appliance/engine"
)

// The baselines: what the other modes are measured against. None has a deadline,
// and the first two have no exit to fall back on.
const (
	// CloudOnly has the whole model in the cloud, which streams the tokens back.
	CloudOnly Mode = "cloud-only"
	// Naive is the split model without exits: every token is the cloud's, and
	// before every token the hidden states of the whole prefix go up again. The
	// cloud keeps its KV cache, so that only bytes repeat, as the cloud's share of
	// the time in CE-CoLLM's table says of theirs.
	Naive Mode = "naive"
	// Paper is CE-CoLLM's protocol as published: a fixed threshold, each position
	// sent once, and a board that does nothing while it waits.
	Paper Mode = "paper"
)

// PaperThreshold is the lowest of the paper's thresholds, and Paper's default.
const PaperThreshold = 0.8

// NeedsCloud reports whether a mode asks a cloud partition.
func (m Mode) NeedsCloud() bool { return m != Standalone && m != Unsplit }

// Exits reports whether exits speak in a mode: without, a lost cloud ends the
// answer.
func (m Mode) Exits() bool { return m == Standalone || m == Collaborative || m == Paper }

// Resender is a Cloud that can send hidden states again, for Naive.
type Resender interface {
	// Resend queues the positions from on to the end for upload once more, ahead
	// of what is appended after.
	Resend(from int) error
}

// Generator is a Cloud that has the whole model, for CloudOnly.
type Generator interface {
	// Generate appends ids to the tokens the cloud has of the session and goes on
	// greedily for up to max tokens, or to the model's end of answer, which it
	// yields too, unless ignoreEnd. What was yielded is part of the session. It
	// ends with nil when yield returns false.
	Generate(ctx context.Context, ids []int32, max int, ignoreEnd bool, yield func(id int32, confidence, margin float64) bool) error
}

// checkBaseline returns what is wrong with what only some modes can do.
func (o Options) checkBaseline() error {
	if o.Eager && o.Mode != Collaborative {
		return fmt.Errorf("mode %s has no eager asks: they are of %s", o.Mode, Collaborative)
	}
	s := o.Sampling
	s.Seed = 0
	if o.Mode == CloudOnly && s != (engine.Sampling{}) {
		return fmt.Errorf("mode %s is greedy, the cloud has no sampler: leave temperature, penalties and grammar out", CloudOnly)
	}
	return nil
}

// cloudFor returns why the session's cloud does not serve the mode.
func (s *Session) cloudFor(m Mode) error {
	if !m.NeedsCloud() {
		return nil
	}
	if s.cloud == nil {
		return fmt.Errorf("mode %s needs a cloud partition", m)
	}
	if _, ok := s.cloud.(Generator); m == CloudOnly && !ok {
		return fmt.Errorf("mode %s needs the whole model in the cloud, which this session has not", m)
	}
	if _, ok := s.cloud.(Resender); m == Naive && !ok {
		return fmt.Errorf("mode %s needs a session that can send its hidden states again", m)
	}
	return nil
}

// alone is the end of an answer that nobody can go on with.
func (l *loop) alone(ctx context.Context, err error) ([]Token, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.lose(err)
	return nil, fmt.Errorf("%w: %w", errLost, err)
}

// cloudOnly takes the next token of the cloud's stream.
func (l *loop) cloudOnly(ctx context.Context) ([]Token, error) {
	if l.next == nil {
		l.asks++
		l.next, l.stop = iter.Pull2(l.streamed(ctx))
	}
	start := time.Now()
	t, err, ok := l.next()
	if !ok {
		err = errors.New("the cloud ended the answer too early")
	}
	if err != nil {
		return l.alone(ctx, err)
	}
	t.WaitMS = milliseconds(time.Since(start))
	return []Token{t}, nil
}

// streamed is the cloud's answer to the session's tokens, with a last error.
func (l *loop) streamed(ctx context.Context) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		ids, err := l.untold()
		if err == nil {
			most := l.model.Context - len(l.told)
			if l.opt.MaxTokens > 0 {
				most = min(most, l.opt.MaxTokens)
			}
			err = l.cloud.(Generator).Generate(ctx, ids, most, l.opt.IgnoreEnd, func(id int32, confidence, margin float64) bool {
				l.told = append(l.told, id)
				t := Token{ID: id, Source: FromCloud, Verified: true, Confidence: confidence, Margin: margin}
				if l.opt.Logprobs { // it is the likeliest
					t.Logprob = math.Log(confidence)
				}
				return yield(t, nil)
			})
		}
		if err != nil {
			yield(Token{}, err)
		}
	}
}

// untold has the cloud forget what the session's tokens do not begin with, and
// returns those that it has not been told. The last one is among them: what comes
// after it is wanted.
func (l *loop) untold() ([]int32, error) {
	kept := 0
	for kept < min(len(l.told), len(l.tokens)-1) && l.told[kept] == l.tokens[kept] {
		kept++
	}
	if kept < len(l.told) {
		if err := l.cloud.Truncate(kept); err != nil {
			return nil, err
		}
	}
	l.told = slices.Clone(l.tokens)
	return l.told[kept:], nil
}

// naive asks the cloud for every token.
func (l *loop) naive(ctx context.Context) ([]Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	if l.lost != nil {
		return l.alone(ctx, l.lost)
	}
	t, err := l.askIdly(ctx)
	if err != nil {
		return l.alone(ctx, err)
	}
	return []Token{t}, nil
}

// resend has the whole prefix go up again, once for each token and before what is
// new: the answer has to wait for all of it.
func (l *loop) resend() error {
	if l.opt.Mode != Naive || l.resent == len(l.tokens) {
		return nil
	}
	l.resent = len(l.tokens)
	return l.cloud.(Resender).Resend(0)
}

// paper believes an exit, or waits for the cloud.
func (l *loop) paper(ctx context.Context) ([]Token, error) {
	if len(l.opt.Thresholds) == 0 {
		l.opt.Thresholds = []float64{PaperThreshold}
	}
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	t, sure, err := l.exits(false)
	if err != nil || sure {
		return []Token{t}, err
	}
	if l.lost == nil {
		if t, err := l.askIdly(ctx); err == nil {
			return []Token{t}, nil
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		} else {
			l.lose(err)
		}
	}
	if l.opt.OnLoss == Stop {
		return l.alone(ctx, l.lost)
	}
	t, sure, err = l.exits(true)
	if !sure {
		t.Source, t.Why = Fallback, Lost
	}
	return []Token{t}, err
}

// askIdly asks the cloud for the token after the last and does nothing else
// until it has it.
func (l *loop) askIdly(ctx context.Context) (Token, error) {
	l.asks++
	start := time.Now()
	row, err := l.cloud.Ask(ctx, len(l.tokens)-1, l.need())
	if err != nil {
		return Token{}, err
	}
	waited := milliseconds(time.Since(start))
	t, err := l.said(row)
	t.WaitMS = waited
	return t, err
}
