package decode

import (
	"context"
	"fmt"
	"time"
)

// tooSlow says that no answer is to be expected in what is left of the next
// token's time.
func (l *loop) tooSlow() bool {
	if l.opt.MaxTokenLatency == 0 {
		return false
	}
	left := l.left()
	if l.prompt && l.mid != nil { // its time begins when these are computed
		backlog, _, known := l.mid.cost.Cost(l.mid.queue.Len())
		if !known {
			return false
		}
		left += backlog
	}
	if left <= 0 || l.outlook == nil {
		return left <= 0
	}
	cost, known := l.outlook.Predict(len(l.tokens) - 1)
	return known && cost > left
}

// ask asks the cloud for the logits after the last token and waits no longer
// than the deadline allows. An ask that is late then stays under way. The error
// ends the answer.
func (l *loop) ask(ctx context.Context) (Row, Reason, error) {
	got := l.takeEarly()
	if got == nil {
		got = l.late.ask(l.cloud, len(l.tokens)-1, l.need())
	}
	r, answered, err := l.wait(got)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Row{}, "", err
	}
	if !answered {
		l.asks++
		l.late.owed = append(l.late.owed, lateAsk{got, l.deepestExit(), best(l.deepest.ids, l.deepest.logits)})
		return Row{}, Deadline, nil
	}
	if r.err == nil {
		l.asks++
		l.back()
		return r.row, Asked, nil
	}
	why := l.missed(r.err)
	if why != Down { // else it never left
		l.asks++
	}
	if l.opt.OnLoss == Stop || l.opt.OnLoss == Await && l.lost != nil {
		return Row{}, why, fmt.Errorf("%w: %w", errLost, r.err)
	}
	return Row{}, why, nil
}

// wait waits for the reply to an ask and returns false once the deadline has
// passed. Meanwhile the mid stage catches up, so that a lost link costs one token
// and not a prefill; and the deepest exit speaks in time to be ready, should it
// be needed, at the deadline.
func (l *loop) wait(got <-chan reply) (r reply, answered bool, err error) {
	for l.mid != nil && l.mid.queue.Len() > 0 {
		select {
		case r = <-got:
			return r, true, nil
		default:
		}
		if err := l.mid.catchUp(idleRows); err != nil {
			return r, false, err
		}
	}
	if l.opt.MaxTokenLatency == 0 {
		return <-got, true, nil
	}
	if l.prompt {
		l.clock = time.Now()
	}
	if need, known := l.reserve(); known {
		if r, answered = within(got, l.left()-need); answered {
			return r, true, nil
		}
	}
	if _, err = l.hear(len(l.model.Exits) - 1); err != nil {
		return r, false, err
	}
	r, answered = within(got, l.left())
	return r, answered, nil
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
