package decode

import (
	"context"
	"fmt"
	"math"
	"time"

	"skerry/appliance/engine"
)

// collaborative says an exit's token where one is confident, the cloud's where
// it answers in time, and else the deepest exit's.
func (l *loop) collaborative(ctx context.Context) ([]Token, error) {
	l.prompt = l.head+1 < len(l.tokens)
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	l.settle(l.late.collect())
	why := l.closed()
	hopeless := l.lost != nil && l.opt.OnLoss != GoAlone
	alone := why != Asked && !hopeless // no answer will come: the deepest exit speaks
	t, sure, err := l.exits(alone)
	switch {
	case err != nil:
		return nil, err
	case sure:
		return []Token{t}, l.boundBacklog()
	case alone:
		t.Source, t.Why = Fallback, why
		return []Token{t}, nil
	case hopeless:
		return nil, fmt.Errorf("%w: %w", errLost, l.lost)
	}
	if l.prompt {
		l.clock = time.Now()
	}
	if t, err = l.consult(ctx); err != nil {
		return nil, err
	}
	return []Token{t}, nil
}

// consult asks the cloud, again where the policy is to wait for it, and has the
// deepest exit speak where no answer comes.
func (l *loop) consult(ctx context.Context) (t Token, err error) {
	if l.early.got == nil && l.tooSlow() {
		return l.fallback(TooSlow)
	}
	start := time.Now()
	row, why, err := l.ask(ctx)
	for pause := firstPause; err == nil && l.again(ctx, why, pause); pause = min(2*pause, longestPause) {
		row, why, err = l.ask(ctx)
	}
	waited := milliseconds(time.Since(start))
	switch {
	case err != nil:
		return t, err
	case why != Asked && ctx.Err() != nil:
		return t, ctx.Err()
	case why != Asked:
		t, err = l.fallback(why)
	default:
		t, err = l.said(row)
	}
	t.WaitMS = waited
	return t, err
}

// said is the cloud's token.
func (l *loop) said(row Row) (Token, error) {
	d := engine.Describe(row.Logits)
	if row.IDs != nil { // the best of a row: its probabilities are of the whole
		d.Confidence *= math.Exp(d.LogSumExp - row.LogSumExp)
		d.LogSumExp = row.LogSumExp
	}
	t, err := l.choose(row.IDs, row.Logits, d, FromCloud)
	t.Verified = true
	return t, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// fallback is the deepest exit's token, unsure as it is.
func (l *loop) fallback(why Reason) (Token, error) {
	i := len(l.model.Exits) - 1
	s, err := l.hear(i)
	if err != nil {
		return Token{}, err
	}
	t, err := l.speak(i, s, Fallback)
	t.Why = why
	return t, err
}

// Between asks of a cloud that is waited for.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// again waits before the next ask of a cloud that is to be waited for. It
// returns false where that is not the policy or there is no time for it.
func (l *loop) again(ctx context.Context, why Reason, pause time.Duration) bool {
	if l.opt.OnLoss != Await || why == Asked || why == Deadline {
		return false
	}
	pause = max(pause, time.Until(l.shun))
	if need, _ := l.reserve(); l.opt.MaxTokenLatency > 0 && l.left()-need < pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
