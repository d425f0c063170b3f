package decode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"skerry/appliance/engine"
)

// loop is a session at work on one answer.
type loop struct {
	*Session
	opt     Options
	sampler *engine.Sampler
}

// step decides the next token, or several at once, after the session's tokens.
// What it returns beside an error was decided before it.
type step func(l *loop, ctx context.Context) ([]Token, error)

// steps has one way of deciding for each mode, built from the same parts: the
// head stage, the exits, the ask.
var steps = map[Mode]step{
	Unsplit:       (*loop).unsplit,
	Standalone:    (*loop).standalone,
	Collaborative: (*loop).collaborative,
}

// errLost ends an answer whose OnLoss is Stop.
var errLost = errors.New("the cloud was lost")

func (l *loop) unsplit(ctx context.Context) ([]Token, error) {
	if err := l.advanceWhole(ctx); err != nil {
		return nil, err
	}
	t, err := l.choose(nil, l.row, engine.Describe(l.row), FromUnsplit)
	t.Verified, t.Why = true, Whole
	return []Token{t}, err
}

func (l *loop) standalone(ctx context.Context) ([]Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	t, _, err := l.exits(true)
	if t.Why == "" {
		t.Why = Alone
	}
	return []Token{t}, err
}

func (l *loop) collaborative(ctx context.Context) ([]Token, error) {
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	alone := l.lost != nil && l.opt.OnLoss == GoAlone // no answer will come: the deepest exit speaks
	t, sure, err := l.exits(alone)
	if err != nil || sure {
		return []Token{t}, err
	}
	waited := 0.0 // ms
	if l.lost == nil {
		start := time.Now()
		row, err := l.ask(ctx)
		waited = float64(time.Since(start).Microseconds()) / 1000
		if err == nil {
			d := engine.Describe(row.Logits)
			if row.IDs != nil { // the best of a row: its probabilities are of the whole
				d.Confidence *= math.Exp(d.LogSumExp - row.LogSumExp)
			}
			t, err := l.choose(row.IDs, row.Logits, d, FromCloud)
			t.Verified, t.WaitMS = true, waited
			return []Token{t}, err
		}
		if board := new(boardError); errors.As(err, &board) {
			return nil, board.err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l.lose(err)
	}
	if l.opt.OnLoss == Stop {
		return nil, fmt.Errorf("%w: %w", errLost, l.lost)
	}
	if !alone {
		t, _, err = l.exits(true)
		t.WaitMS = waited
	}
	if t.Why == "" {
		t.Source, t.Why = Fallback, Lost
	}
	return []Token{t}, err
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
		if l.cloud != nil && l.lost == nil && l.opt.Mode != Standalone {
			if err := l.cloud.Append(l.head, out.Hidden); err != nil {
				l.lose(err)
			}
		}
		l.head += len(b.Pos)
		l.hidden = out.Hidden[len(out.Hidden)-stage.Width():]
	}
	return nil
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
		l.head += len(b.Pos)
		l.row = out.Logits
	}
	return nil
}

// batch of the next n tokens, all wanting the same.
func (l *loop) batch(n int, want engine.Want) engine.Batch {
	b := engine.NewBatch(l.seq, l.head, n, want)
	b.Tokens = l.tokens[l.head : l.head+n]
	return b
}

// exits asks the exits in turn and returns the first confident one's token. With
// last, the deepest exit speaks in any case; its Why then stays empty.
func (l *loop) exits(last bool) (t Token, sure bool, err error) {
	pos := len(l.tokens) - 1
	for i, source := range []Source{Exit1, Exit2}[:len(l.model.Exits)] {
		final := last && i == len(l.model.Exits)-1
		threshold := l.opt.threshold(i, l.model.Exits[i].Threshold)
		if !final && threshold > 1 { // never believed: not computed
			continue
		}
		hidden := l.hidden
		if i > 0 {
			if hidden, err = l.mid.at(pos); err != nil {
				return t, false, err
			}
		}
		head := l.model.Exits[i].Head
		logits, err := head.Logits(hidden)
		if err != nil {
			return t, false, err
		}
		d := engine.Describe(logits)
		sure = d.Confidence >= threshold
		if !sure && !final {
			continue
		}
		t, err = l.choose(head.Tokens(), logits, d, source)
		if sure {
			t.Why = Confident
		}
		return t, sure, err
	}
	return t, false, nil
}

// boardError is a failure of the board's own stages while the cloud was asked.
type boardError struct{ err error }

func (e *boardError) Error() string { return e.err.Error() }

// idleRows is how many backlog rows the mid stage computes at a time while the
// loop waits for the cloud: few, so that the answer is not kept waiting.
const idleRows = 8

// ask asks the cloud for the logits after the last token. While it waits, the
// mid stage catches up, so that a lost link costs one token and not a prefill.
func (l *loop) ask(ctx context.Context) (Row, error) {
	type reply struct {
		row Row
		err error
	}
	l.asks++
	pos, need := len(l.tokens)-1, l.sampler.Need()
	got := make(chan reply, 1)
	go func() {
		row, err := l.cloud.Ask(ctx, pos, need)
		got <- reply{row, err}
	}()
	for l.mid != nil && l.mid.queue.Len() > 0 {
		select {
		case r := <-got:
			return r.row, r.err
		default:
		}
		if err := l.mid.catchUp(idleRows); err != nil {
			<-got
			return Row{}, &boardError{err}
		}
	}
	r := <-got
	return r.row, r.err
}

// choose samples the token after the last one from logits, of all tokens or of
// the listed ones.
func (l *loop) choose(ids []int32, logits []float32, d engine.Stats, source Source) (Token, error) {
	id, err := l.sampler.Sample(ids, logits, len(l.tokens))
	if err != nil {
		return Token{}, fmt.Errorf("%s, position %d: %w", source, len(l.tokens), err)
	}
	return Token{ID: id, Source: source, Confidence: d.Confidence, Margin: d.Margin}, nil
}
