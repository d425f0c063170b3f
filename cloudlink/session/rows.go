package session

import (
	"fmt"

	"skerry/cloudlink/hidden"
)

// rows are the hidden states that a session can send: those from base up to end. A
// durable session that began above position 0 may be given the ones below later, from
// any position on, and joins them once they meet.
//
// They lie in a buffer of the session's own, or in one that it shares with whoever
// computes them: then nothing is copied, and the session only reads.
type rows struct {
	buffer *hidden.Buffer
	shared bool
	high   span
	low    span // below high, empty for none
}

// span is a run of positions.
type span struct{ from, to int }

func newRows(width, pos int) rows {
	return rows{buffer: hidden.NewBuffer(width), high: span{pos, pos}}
}

func (r *rows) base() int { return r.high.from }
func (r *rows) end() int  { return r.high.to }

// bytes is what the session's own rows take.
func (r *rows) bytes() int {
	if r.shared {
		return 0
	}
	return r.buffer.Bytes()
}

// view has f read up to limit rows from pos on, none below base; fewer where their
// memory is not in one piece.
func (r *rows) view(pos, limit int, f func(rows []float32)) {
	if pos < r.high.from {
		limit = 0
	}
	r.buffer.View(pos, min(pos+limit, r.high.to), f)
}

// forget drops the rows below pos.
func (r *rows) forget(pos int) {
	r.high.from = max(r.high.from, min(pos, r.high.to))
	if !r.shared {
		r.buffer.Forget(r.high.from)
	}
}

// append adds hidden, [n][width]float32, at pos. Rows below base are dropped, unless
// below says to keep them.
func (r *rows) append(pos int, values []float32, below bool) error {
	width := r.buffer.Width()
	if width <= 0 || len(values)%width != 0 {
		return fmt.Errorf("%w: %d float32 at width %d", hidden.ErrWidth, len(values), width)
	}
	n := len(values) / width
	if known := min(r.high.from-pos, n); known > 0 {
		if below {
			if err := r.fill(pos, values[:known*width]); err != nil {
				return err
			}
		}
		pos, n, values = pos+known, n-known, values[known*width:]
		if n == 0 {
			return nil
		}
	}
	return r.extend(&r.high, pos, values)
}

// extend puts values at the end of a span; those that it has are ignored.
func (r *rows) extend(s *span, pos int, values []float32) error {
	width := r.buffer.Width()
	if pos > s.to {
		return &hidden.GapError{Have: s.to, Got: pos}
	}
	known := s.to - pos
	if known*width >= len(values) {
		return nil
	}
	if !r.shared {
		if err := r.buffer.Put(s.to, values[known*width:]); err != nil {
			return err
		}
	}
	s.to = pos + len(values)/width
	return nil
}

// fill adds rows below base.
func (r *rows) fill(pos int, values []float32) error {
	if r.low.from == r.low.to || pos < r.low.from {
		r.low = span{pos, pos}
	}
	if err := r.extend(&r.low, pos, values); err != nil {
		return err
	}
	r.join()
	return nil
}

func (r *rows) join() {
	if r.low.from < r.low.to && r.low.to >= r.high.from {
		r.high.from, r.low = r.low.from, span{}
	}
}

// truncate forgets the rows at pos and above.
func (r *rows) truncate(pos int) {
	r.high = span{min(r.high.from, pos), min(r.high.to, pos)}
	if r.low.to = min(r.low.to, pos); r.low.to <= r.low.from {
		r.low = span{}
	}
	r.join()
	if !r.shared {
		r.buffer.Truncate(max(r.high.to, r.low.to))
	}
}
