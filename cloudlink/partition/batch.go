package partition

import "fmt"

// batch is one forward pass with the truncations that go before it.
type batch struct {
	width int
	cuts  []cut
	freed []*tail // whose sequences the cuts empty
	jobs  []job
	rows  []Row
	data  []float32 // what rows point into
}

type cut struct{ seq, pos int }

// job is one session's part of a batch.
type job struct {
	tail   *tail
	seq    int // of the tail, which may lose it meanwhile
	branch uint32
	n      int   // rows
	wanted []int // positions whose logits are wanted, rising
}

func newBatch(s Stage) *batch {
	return &batch{width: s.Width()}
}

func (b *batch) empty() bool { return len(b.cuts) == 0 && len(b.rows) == 0 && len(b.freed) == 0 }

func (b *batch) reset() {
	b.cuts, b.freed, b.jobs = b.cuts[:0], b.freed[:0], b.jobs[:0]
	b.rows, b.data = b.rows[:0], b.data[:0]
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
			r := Row{Seq: t.seq, Pos: pos + i, Logits: t.asked(pos + i)}
			if r.Logits {
				j.wanted = append(j.wanted, r.Pos)
			}
			b.rows = append(b.rows, r)
		}
		b.data = append(b.data, hidden...)
		b.jobs = append(b.jobs, j)
		n -= got
		t.weigh()
	}
}

// compute truncates and then runs the forward pass. It is called without mu.
func (b *batch) compute(s Stage) ([][]float32, error) {
	for _, c := range b.cuts {
		if err := s.Truncate(c.seq, c.pos); err != nil {
			return nil, fmt.Errorf("truncate sequence %d to %d: %w", c.seq, c.pos, err)
		}
	}
	if len(b.rows) == 0 {
		return nil, nil
	}
	wanted := 0
	for i := range b.rows {
		b.rows[i].Hidden = b.data[i*b.width : (i+1)*b.width]
		if b.rows[i].Logits {
			wanted++
		}
	}
	logits, err := s.Forward(b.rows)
	if err == nil && len(logits) != wanted {
		err = fmt.Errorf("forward of %d rows gave %d rows of logits, want %d", len(b.rows), len(logits), wanted)
	}
	return logits, err
}
