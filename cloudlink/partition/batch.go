package partition

import "fmt"

// batch is one forward pass with the truncations that go before it.
type batch struct {
	width int
	most  int // rows of logits of a pass
	cuts  []cut
	freed []*tail // whose sequences the cuts empty
	jobs  []job
	rows  Rows
	asked int // rows whose logits are wanted
}

// maxLogits bounds the logits of a pass, in bytes: the stage has as much of its own.
const maxLogits = 64 << 20

type cut struct{ seq, pos int }

// job is one session's part of a batch.
type job struct {
	tail   *tail
	seq    int // of the tail, which may lose it meanwhile
	branch uint32
	cuts   uint64   // of the tail by then
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
	return &batch{width: s.Width(), most: max(maxLogits/(4*s.Vocab()), 1)}
}

func (b *batch) empty() bool { return len(b.cuts) == 0 && b.rows.Len() == 0 && len(b.freed) == 0 }

func (b *batch) reset() {
	b.cuts, b.freed, b.jobs = b.cuts[:0], b.freed[:0], b.jobs[:0]
	b.rows.reset()
	b.asked = 0
}

// add takes n rows off a backlog and returns how many: fewer where those behind them would
// make more logits than a pass may.
func (b *batch) add(t *tail, n int) (added int) {
	wants := b.wants(t, min(n, t.queue.Len()))
	for left := wants.rows; left > 0; {
		pos, hidden := t.queue.Take(left)
		got := len(hidden) / b.width
		if got == 0 {
			break
		}
		j := job{tail: t, seq: t.seq, branch: t.branch, cuts: t.cuts, n: got}
		j.wanted, wants.wanted = wants.below(pos + got)
		for i := range got {
			b.rows.Seq, b.rows.Pos = append(b.rows.Seq, int32(t.seq)), append(b.rows.Pos, int32(pos+i))
			b.rows.Wanted = append(b.rows.Wanted, false)
		}
		for _, w := range j.wanted {
			b.rows.Wanted[len(b.rows.Wanted)-got+w.pos-pos] = true
		}
		if n := len(j.wanted); n > 0 {
			j.wanted[n-1].all = true // it is kept for a repeated ask
		}
		t.underWay = append(t.underWay, j.wanted...)
		b.rows.Hidden = append(b.rows.Hidden, hidden...)
		b.jobs = append(b.jobs, j)
		added, left = added+got, left-got
		t.accountQueue()
	}
	return added
}

// rowsWanted are the next rows of a backlog and what is to be made of some of them.
type rowsWanted struct {
	rows   int
	wanted []wanted
}

// wants finds out what is wanted of the next n rows of a backlog, or of as many of them as
// the logits of the pass have room for.
func (b *batch) wants(t *tail, n int) (r rowsWanted) {
	base := t.queue.Base()
	for ; r.rows < n; r.rows++ {
		w, asked := t.wanted(base + r.rows)
		if !asked {
			continue
		}
		if b.asked == b.most {
			break
		}
		b.asked++
		r.wanted = append(r.wanted, w)
	}
	return r
}

// below splits off what is wanted of the rows below pos.
func (r rowsWanted) below(pos int) (below, rest []wanted) {
	n := 0
	for n < len(r.wanted) && r.wanted[n].pos < pos {
		n++
	}
	return r.wanted[:n:n], r.wanted[n:]
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
