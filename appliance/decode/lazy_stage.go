package decode

import (
	"context"
	"fmt"
	"time"

	"skerry/appliance/engine"
	"skerry/cloudlink/hidden"
	"skerry/cloudlink/monitor"
)

// lazyStage is a stage of hidden states with its backlog: what it has not computed
// yet, by position.
type lazyStage struct {
	stage   Stage
	seq     int
	queue   backlog
	lastPos int       // position of last, -1 for none
	last    []float32 // [n_embd]: the hidden state of the last position computed
	rows    int       // computed so far
	cost    monitor.BatchCost
}

// backlog holds rows, or knows which rows of a buffer are not computed yet.
type backlog interface {
	Base() int
	End() int
	Len() int
	Append(pos int, hidden []float32) error
	Peek(pos, limit int) []float32
	Take(limit int) (pos int, hidden []float32)
	Truncate(pos int)
}

// newLazyStageOver is a stage whose backlog lies in rows.
func newLazyStageOver(stage Stage, seq int, rows *hidden.Buffer) *lazyStage {
	return &lazyStage{stage: stage, seq: seq, queue: hidden.PendingOf(rows, 0, 0), lastPos: -1}
}

// push queues hidden states [n][n_embd] for positions from pos on; a buffer that the
// backlog lies in is given them by its owner.
func (l *lazyStage) push(pos int, hidden []float32) error { return l.queue.Append(pos, hidden) }

// catchUp computes up to max queued rows and keeps the hidden state of the last.
// After an error the rows are still queued.
func (l *lazyStage) catchUp(max int) error {
	pos := l.queue.Base()
	hidden := l.queue.Peek(pos, max)
	n := len(hidden) / l.stage.Width()
	if n == 0 {
		return nil
	}
	b := engine.NewBatch(l.seq, pos, n, 0)
	b.Hidden = hidden
	b.Want[n-1] = engine.WantHidden
	start := time.Now()
	out, err := l.stage.Forward(b)
	if err != nil {
		return err
	}
	l.cost.Observe(n, time.Since(start))
	l.queue.Take(n)
	l.last, l.lastPos = out.Hidden, pos+n-1
	l.rows += n
	return nil
}

// catchUpAll computes the backlog, in chunks between which ctx may end it.
func (l *lazyStage) catchUpAll(ctx context.Context) error {
	for l.queue.Len() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.catchUp(prefillRows); err != nil {
			return err
		}
	}
	return nil
}

// at computes the backlog through pos, the last position queued, and returns the
// hidden state [n_embd] there.
func (l *lazyStage) at(ctx context.Context, pos int) ([]float32, error) {
	if err := l.catchUpAll(ctx); err != nil {
		return nil, err
	}
	if l.lastPos != pos {
		return nil, fmt.Errorf("hidden state of position %d is not at hand: the stage stands at %d", pos, l.lastPos)
	}
	return l.last, nil
}

// truncate forgets positions from pos on.
func (l *lazyStage) truncate(pos int) error {
	l.queue.Truncate(pos)
	if l.lastPos >= pos {
		l.lastPos = -1
	}
	return l.stage.Truncate(l.seq, pos)
}
