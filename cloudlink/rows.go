package cloudlink

import (
	"skerry/cloudlink/backlog"
)

// rows are the hidden states a session can send. Those from base on are a
// contiguous run; a durable session that began above position 0 may be given
// the ones below later, from any position on, and joins them once they meet.
type rows struct {
	width int
	high  *backlog.Backlog
	low   *backlog.Backlog // nil: none
}

func newRows(width, pos int) rows {
	return rows{width: width, high: backlog.NewAt(width, pos)}
}

func (r *rows) base() int { return r.high.Base() }
func (r *rows) end() int  { return r.high.End() }

// peek returns up to limit rows from pos on, none below base.
func (r *rows) peek(pos, limit int) []float32 { return r.high.Peek(pos, limit) }

// forget drops the rows below pos.
func (r *rows) forget(pos int) { r.high.Take(pos - r.base()) }

// append adds hidden, [n][width]float32, at pos. Rows below base are dropped,
// unless below says to keep them.
func (r *rows) append(pos int, hidden []float32, below bool) error {
	if n := min(r.base()-pos, len(hidden)/r.width); n > 0 {
		known := hidden[:n*r.width]
		if below {
			if err := r.fill(pos, known); err != nil {
				return err
			}
		}
		pos, hidden = pos+n, hidden[len(known):]
		if len(hidden) == 0 {
			return nil
		}
	}
	return r.high.Append(pos, hidden)
}

// fill adds rows below base.
func (r *rows) fill(pos int, hidden []float32) error {
	if r.low == nil || pos < r.low.Base() {
		r.low = backlog.NewAt(r.width, pos)
	}
	if err := r.low.Append(pos, hidden); err != nil {
		return err
	}
	r.join()
	return nil
}

func (r *rows) join() {
	if r.low == nil || r.low.End() < r.base() {
		return
	}
	r.low.Append(r.base(), r.high.Peek(r.base(), r.high.Len())) // whole rows without a gap
	r.high, r.low = r.low, nil
}

// truncate forgets the rows at pos and above.
func (r *rows) truncate(pos int) {
	r.high.Truncate(pos)
	if r.low == nil {
		return
	}
	if pos <= r.low.Base() {
		r.low = nil
		return
	}
	r.low.Truncate(pos)
	r.join()
}
