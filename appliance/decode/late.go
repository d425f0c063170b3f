package decode

import (
	"context"
	"sync"

	"skerry/appliance/infer"
)

// maxOutstanding is how many late answers may be owed; beyond it the cloud is not asked.
const maxOutstanding = 4

// reply is what became of an ask.
type reply struct {
	row  Row
	rows []Row // of an ask for several
	err  error
}

// lateAsk is an ask whose answer the loop no longer waits for.
type lateAsk struct {
	got  <-chan reply
	by   infer.Source // the draft that spoke instead
	best int32        // its likeliest token
}

// lateAsks owns the asks of one answer, waited for or late. The methods belong
// to the loop's goroutine; ask alone starts another.
type lateAsks struct {
	ctx         context.Context
	cancel      context.CancelFunc
	wg          sync.WaitGroup
	outstanding []lateAsk
}

func (a *lateAsks) open(ctx context.Context) { a.ctx, a.cancel = context.WithCancel(ctx) }

// ask asks the cloud; the reply comes even if nobody waits for it.
func (a *lateAsks) ask(c Cloud, pos, topK int) <-chan reply {
	got := make(chan reply, 1)
	a.wg.Go(func() {
		row, err := c.Ask(a.ctx, pos, topK)
		got <- reply{row: row, err: err}
	})
	return got
}

// askRows asks the cloud for n rows.
func (a *lateAsks) askRows(c Cloud, pos, n, topK int) <-chan reply {
	got := make(chan reply, 1)
	a.wg.Go(func() {
		var r reply
		if n == 1 {
			r.row, r.err = c.Ask(a.ctx, pos, topK)
			r.rows = []Row{r.row}
		} else {
			r.rows, r.err = c.(RowsAsker).AskRows(a.ctx, pos, n, topK)
		}
		got <- r
	})
	return got
}

// lateReply is a late ask with its reply.
type lateReply struct {
	lateAsk
	reply
}

// collect returns the late asks that have been replied to and forgets them.
func (a *lateAsks) collect() (out []lateReply) {
	owed := a.outstanding[:0]
	for _, ask := range a.outstanding {
		select {
		case r := <-ask.got:
			out = append(out, lateReply{ask, r})
		default:
			owed = append(owed, ask)
		}
	}
	a.outstanding = owed
	return out
}

// close gives up what has not been answered yet and waits for every ask to end.
func (a *lateAsks) close() []lateReply {
	out := a.collect()
	a.cancel()
	a.wg.Wait()
	return out
}
