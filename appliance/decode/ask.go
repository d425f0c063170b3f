package decode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/infer"
)

// tooSlow reports whether no answer of the cloud can be expected in what is left of the
// next token's time.
func (l *loop) tooSlow() bool {
	if l.opt.MaxTokenLatency == 0 {
		return false
	}
	left := l.left()
	if d := l.lastDraft(); l.prompt && d.backlog() > 0 { // its time begins when these are computed
		backlog, _, known := d.backlogCost(d.backlog())
		if !known {
			return false
		}
		left += backlog
	}
	if left <= 0 || l.estimator == nil {
		return left <= 0
	}
	cost, known := l.estimator.Predict(len(l.tokens) - 1)
	return known && cost > left
}

// ask asks the cloud for the logits after the last token and waits no longer
// than the deadline allows. An ask that is late then stays under way. The error
// ends the answer.
func (l *loop) ask(ctx context.Context) (Row, infer.Reason, error) {
	got := l.takeEarly()
	if got == nil {
		got = l.late.ask(l.cloud, len(l.tokens)-1, l.topK())
	}
	r, answered, err := l.wait(ctx, got)
	if err == nil && answered && r.err == nil && l.short(r.row) {
		l.asks++
		r, answered, err = l.wait(ctx, l.late.ask(l.cloud, len(l.tokens)-1, 0))
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Row{}, "", err
	}
	if !answered {
		l.asks++
		l.late.outstanding = append(l.late.outstanding, lateAsk{got, l.lastDraft().source(), l.deepest.best()})
		return Row{}, infer.WhyDeadline, nil
	}
	if r.err == nil {
		l.asks++
		l.markBack()
		return r.row, infer.Asked, nil
	}
	why := l.classify(r.err)
	if why != infer.WhyDown { // else it never left
		l.asks++
	}
	if l.opt.OnLoss == infer.EndAnswer || l.opt.OnLoss == infer.AwaitCloud && l.cloudErr != nil {
		return Row{}, why, fmt.Errorf("%w: %w", errLost, r.err)
	}
	return Row{}, why, nil
}

// wait waits for the reply to an ask and returns false once the deadline has
// passed. Meanwhile the last draft catches up, so that a lost link costs one token
// and not a prefill; and it speaks in time to be ready, should it be needed, at the
// deadline. However fast the cloud is, a draft model is given a few positions of each
// token's wait, so that it comes into step.
func (l *loop) wait(ctx context.Context, got <-chan reply) (r reply, answered bool, err error) {
	if l.draft != nil && l.lastDraft().backlog() > 0 {
		if err := l.catchUp(); err != nil {
			return r, false, err
		}
	}
	for l.lastDraft().backlog() > 0 {
		select {
		case r = <-got:
			return r, true, nil
		default:
		}
		if err := l.catchUp(); err != nil {
			return r, false, err
		}
	}
	if l.opt.MaxTokenLatency == 0 {
		defer l.reportWaiting()()
		return <-got, true, nil
	}
	if l.prompt {
		l.clock = time.Now()
	}
	if need, known := l.draftCost(); known {
		if r, answered = within(got, l.left()-need); answered {
			return r, true, nil
		}
	}
	if _, err = l.lastWord(ctx); err != nil {
		return r, false, err
	}
	r, answered = within(got, l.left())
	return r, answered, nil
}

// catchUp has the last draft compute a few positions that it lacks. A draft model that
// fails is given up.
func (l *loop) catchUp() error {
	err := l.lastDraft().catchUp(idleRows)
	if errors.Is(err, errDraftModel) {
		return l.giveUpDraft(err)
	}
	return err
}

// within waits up to d for a reply; one that is there is taken in any case.
func within(got <-chan reply, d time.Duration) (r reply, ok bool) {
	select {
	case r = <-got:
		return r, true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r = <-got:
		return r, true
	case <-timer.C:
		return r, false
	}
}
