package partition

import "fmt"

// batch is one forward pass with the truncations that go before it.
type batch struct {
	width int
	cuts  []cut
	freed []*tail // whose sequences the cuts empty
	jobs  []job
	rows  Rows
}

type cut struct{ seq, pos int }

// job is one session's part of a batch.
type job struct {
	tail   *tail
	seq    int // of the tail, which may lose it meanwhile
	branch uint32
	n      int      // rows
	wanted []wanted // rows whose logits are wanted, by rising position
}

// wanted says of a row of logits what is to be made of it before its answers.
type wanted struct {
	pos  int
	best int  // the largest so many
	all  bool // a copy, for answers of its own or to be asked for again
}

func newBatch(s Stage) *batch {
	return &batch{width: s.Width()}
}

func (b *batch) empty() bool { return len(b.cuts) == 0 && b.rows.Len() == 0 && len(b.freed) == 0 }

func (b *batch) reset() {
	b.cuts, b.freed, b.jobs = b.cuts[:0], b.freed[:0], b.jobs[:0]
	b.rows.reset()
}

// add takes n rows off a backlog.
func (b *batch) add(t *tail, n int) {
	for n > 0 {
		pos, hidden := t.queue.Take(n)
		got := len(hidden) / b.width
		if got == 0 {
			return
		}
		j := job{tail: t, seq: t.seq, branch: t.branch, n: got}
		for i := range got {
			w, asked := t.wanted(pos + i)
			if asked {
				j.wanted = append(j.wanted, w)
			}
			b.rows.Seq, b.rows.Pos = append(b.rows.Seq, int32(t.seq)), append(b.rows.Pos, int32(pos+i))
			b.rows.Wanted = append(b.rows.Wanted, asked)
		}
		if n := len(j.wanted); n > 0 {
			j.wanted[n-1].all = true // it is kept for a repeated ask
		}
		t.underWay = append(t.underWay, j.wanted...)
		b.rows.Hidden = append(b.rows.Hidden, hidden...)
		b.jobs = append(b.jobs, j)
		n -= got
		t.accountQueue()
	}
}

// landed notes that the forward pass is over; mu is held.
func (b *batch) landed() {
	for _, j := range b.jobs {
		j.tail.underWay = nil
	}
}

// forward truncates and then runs the forward pass, [m][n_vocab]float32 of the m rows
// that are wanted. It is called without mu.
func (b *batch) forward(s Stage) ([]float32, error) {
	for _, c := range b.cuts {
		if err := s.Truncate(c.seq, c.pos); err != nil {
			return nil, fmt.Errorf("truncate sequence %d to %d: %w", c.seq, c.pos, err)
		}
	}
	if b.rows.Len() == 0 {
		return nil, nil
	}
	wanted := 0
	for _, j := range b.jobs {
		wanted += len(j.wanted)
	}
	logits, err := s.Forward(b.rows)
	if err == nil && len(logits) != wanted*s.Vocab() {
		err = fmt.Errorf("forward of %d rows gave %d logits, want %d rows of %d", b.rows.Len(), len(logits), wanted, s.Vocab())
	}
	return logits, err
}
