package decode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/infer"
)

// Collaborative samples a draft model, or an exit, where that is confident and asks the cloud otherwise.
const Collaborative infer.Mode = "collaborative"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Collaborative, Help: "asks the cloud where the board is not confident, and answers without it when it is lost", Cloud: true, Served: true,
		Sources: append(DraftSources(), infer.FromCloud, infer.FromUnsplit, infer.Fallback),
	},
	Stages:   ExitStages,
	Exits:    true,
	Drafts:   true,
	Bounded:  true,
	StandsIn: true,
	step:     (*loop).collaborative,
})

// collaborative samples a draft model or an exit where one is believed, the cloud where it
// answers in time, and else the draft model or the deepest exit.
//
// Without a draft model the head stage comes first: exits need it. A draft model that is in
// step comes before it, and where that is believed the head stage may lag a little behind.
func (l *loop) collaborative(ctx context.Context) ([]infer.Token, error) {
	l.prompt = l.head+1 < len(l.tokens) && l.result.FirstToken == 0
	l.countLate(l.late.collect())
	why, stand := l.cloudUnavailable(), l.standIn()
	deadEnd := l.cloudErr != nil && (l.opt.OnLoss != infer.GoAlone || stand == nobody)
	alone := why != infer.Asked && !deadEnd // no answer will come, and something on the board may stand in
	first := l.draft != nil && (alone || l.draftInStep())
	if !first {
		if err := l.advanceHead(ctx); err != nil {
			return nil, err
		}
	}
	if alone && unreachable(why) && stand == wholeStandsIn {
		t, err := l.sampleStandIn(ctx, why)
		return single(t, err)
	}
	var t infer.Token
	var sure bool
	var err error
	switch {
	case l.draft != nil && !first: // it catches up while the cloud is waited for
	case alone || !l.tailActive: // else the whole model is sampled until the cloud answers again
		t, sure, err = l.propose(ctx, alone)
	}
	switch {
	case errors.Is(err, errNoDraft):
		return l.collaborative(ctx)
	case err != nil:
		return nil, err
	case sure && alone:
		return []infer.Token{t}, nil
	case sure:
		return []infer.Token{t}, errors.Join(l.boundHeadBacklog(ctx), l.boundBacklog())
	case alone:
		t.Source, t.Why = infer.Fallback, why
		return []infer.Token{t}, nil
	case deadEnd && l.opt.OnLoss == infer.GoAlone:
		return nil, l.errNobodyLeft()
	case deadEnd:
		return nil, fmt.Errorf("%w: %w", errLost, l.cloudErr)
	}
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	if l.prompt {
		l.clock = time.Now()
	}
	t, err = l.askOrFallBack(ctx)
	return single(t, err)
}

// single is the token that was decided, or why none was.
func single(t infer.Token, err error) ([]infer.Token, error) {
	if err != nil {
		return nil, err
	}
	return []infer.Token{t}, nil
}

// askOrFallBack asks the cloud, again where the policy is to wait for it, and has the
// last draft sampled where no answer comes.
func (l *loop) askOrFallBack(ctx context.Context) (t infer.Token, err error) {
	if l.early.got == nil && l.tooSlow() {
		return l.sampleLast(ctx, infer.WhyTooSlow)
	}
	start := time.Now()
	row, why, err := l.ask(ctx)
	for pause := firstPause; err == nil && l.pauseBeforeRetry(ctx, why, pause); pause = min(2*pause, longestPause) {
		row, why, err = l.ask(ctx)
	}
	waited := milliseconds(time.Since(start))
	switch {
	case err != nil:
		return t, err
	case why != infer.Asked && ctx.Err() != nil:
		return t, ctx.Err()
	case why != infer.Asked:
		t, err = l.sampleStandIn(ctx, why)
	default:
		t, err = l.sampleCloud(row)
	}
	t.WaitMS = waited
	return t, err
}

// sampleCloud is the cloud's token.
func (l *loop) sampleCloud(row Row) (infer.Token, error) {
	if err := l.checkDraft(row); err != nil {
		return infer.Token{}, err
	}
	t, err := l.choose(row.IDs, row.Logits, row.stats(), infer.FromCloud)
	t.Verified = true
	if l.tailActive {
		l.tailActive = false
		l.markChange(Collaborative, "the cloud answers again")
	}
	return t, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Between asks of a cloud that is waited for.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// pauseBeforeRetry waits before the next ask of a cloud that is to be waited for, by the policy or
// for a while because nothing else may stand in. It returns false where that is not so or
// there is no time for it.
func (l *loop) pauseBeforeRetry(ctx context.Context, why infer.Reason, pause time.Duration) bool {
	if why == infer.Asked || why == infer.WhyDeadline {
		return false
	}
	pause = max(pause, time.Until(l.busyUntil))
	need, _ := l.draftCost()
	switch {
	case l.opt.OnLoss == infer.GoAlone && l.standIn() == nobody && l.cloudErr == nil:
		if l.clock.Add(longestCut).Before(time.Now().Add(pause)) {
			return false
		}
	case l.opt.OnLoss != infer.AwaitCloud || l.opt.MaxTokenLatency > 0 && l.left()-need < pause:
		return false
	}
	defer l.reportWaiting()()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
