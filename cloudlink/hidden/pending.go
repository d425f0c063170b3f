package hidden

// Pending is the backlog of a stage whose rows lie in a Buffer that others share: it
// knows only which of them the stage has not computed yet. It is not safe for concurrent
// use.
type Pending struct {
	rows      *Buffer
	base, end int
}

// PendingOf returns the backlog of the positions from base up to end, whose rows are
// there.
func PendingOf(rows *Buffer, base, end int) *Pending { return &Pending{rows, base, end} }

// Base returns the first position still queued; everything below was taken.
func (p *Pending) Base() int { return p.base }

// End returns one past the last queued position.
func (p *Pending) End() int { return p.end }

// Len returns the number of queued positions.
func (p *Pending) Len() int { return p.end - p.base }

// Append queues the positions [pos, pos+n) of hidden, [n][n_embd]float32, which whoever
// owns the buffer puts there. It returns a *GapError when pos lies beyond the queue's end,
// and ErrWidth.
func (p *Pending) Append(pos int, hidden []float32) error {
	if err := checkWidth(p.rows.width, hidden); err != nil {
		return err
	}
	if pos > p.end {
		return &GapError{Have: p.end, Got: pos}
	}
	p.end = max(p.end, pos+len(hidden)/p.rows.width)
	return nil
}

// Peek returns up to limit queued rows from position pos on, [n][n_embd]float32, none
// when pos is not queued; fewer where their memory is not in one piece.
func (p *Pending) Peek(pos, limit int) []float32 {
	if pos < p.base || pos >= p.end || limit <= 0 {
		return nil
	}
	return p.rows.Run(pos, min(p.end, pos+limit))
}

// Take is Peek from the base on, and removes what it returns from the queue.
func (p *Pending) Take(limit int) (pos int, hidden []float32) {
	pos = p.base
	hidden = p.Peek(pos, limit)
	p.base += len(hidden) / max(p.rows.width, 1)
	return pos, hidden
}

// Truncate forgets the positions from pos on. When pos lies below Base, both ends become
// pos, and the caller truncates the KV cache of the stage that took them.
func (p *Pending) Truncate(pos int) {
	p.base, p.end = min(p.base, pos), min(p.end, pos)
}
