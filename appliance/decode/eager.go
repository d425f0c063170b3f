package decode

import "context"

// earlyAsk is an ask that left before exit 2 was computed; got is nil for none.
type earlyAsk struct {
	got    <-chan reply
	cancel context.CancelFunc
}

// askEarly asks the cloud for the token after the last while exit 2 computes,
// unless no answer is to be had in time.
func (l *loop) askEarly() {
	if !l.opt.Eager || l.cloudErr != nil || l.tooSlow() {
		return
	}
	ctx, cancel := context.WithCancel(l.late.ctx)
	got, pos, need := make(chan reply, 1), len(l.tokens)-1, l.topK()
	l.late.wg.Go(func() {
		defer cancel()
		row, err := l.cloud.Ask(ctx, pos, need)
		got <- reply{row: row, err: err}
	})
	l.early = earlyAsk{got, cancel}
}

// takeEarly is the ask that is under way for the next token, nil for none.
func (l *loop) takeEarly() <-chan reply {
	got := l.early.got
	l.early = earlyAsk{}
	return got
}

// cancelEarly gives up the ask under way: exit 2 was believed. The cloud may compute
// it all the same.
func (l *loop) cancelEarly() {
	if l.early.got != nil {
		l.asks++
		l.early.cancel()
		l.early = earlyAsk{}
	}
}
