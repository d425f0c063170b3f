// Package hidden holds hidden states that a stage has not computed yet.
//
// It is the one mechanism behind lazy catch-up: a stage that is skipped only
// queues its input rows by position; when it is next needed it takes the whole
// backlog and computes it as one batch at the right positions. The board's mid
// stage, the cloud's tail stage and a replay after a lost link all use it.
package hidden

import (
	"errors"
	"fmt"
)

// keepBytes is how much memory an empty backlog may hold on to.
const keepBytes = 128 << 10

// ErrWidth is returned when rows are not a whole number of hidden states.
var ErrWidth = errors.New("hidden states are not a whole number of rows")

// GapError is returned when rows would leave positions out.
type GapError struct {
	Have int // one past the last queued position
	Got  int // first position of the refused rows
}

func (e *GapError) Error() string {
	return fmt.Sprintf("hidden states from position %d leave a gap, the next one wanted is %d", e.Got, e.Have)
}

// Backlog is a contiguous run of hidden states, one row of n_embd float32 per
// position. It is not safe for concurrent use.
type Backlog struct {
	width int
	base  int       // position of the first row in rows[head:]
	head  int       // float32s of rows already taken
	rows  []float32 // taken rows, then queued rows
}

// New returns an empty backlog at position 0 for rows of width float32.
func New(width int) *Backlog {
	return &Backlog{width: width}
}

// Begin has an empty backlog go on from position pos, below which a stage has everything.
func (b *Backlog) Begin(pos int) {
	if b.Len() == 0 {
		b.base, b.rows, b.head = max(pos, 0), nil, 0
	}
}

// Base returns the first position still queued; everything below was taken.
func (b *Backlog) Base() int { return b.base }

// End returns one past the last queued position.
func (b *Backlog) End() int { return b.base + b.Len() }

// Len returns the number of queued positions.
func (b *Backlog) Len() int {
	if b.width <= 0 {
		return 0
	}
	return (len(b.rows) - b.head) / b.width
}

// Bytes returns the memory the backlog holds on to.
func (b *Backlog) Bytes() int { return 4 * cap(b.rows) }

// Append queues hidden, [n][n_embd]float32, for the positions [pos, pos+n).
// Positions below End are duplicates and ignored, so that an append may be
// repeated. It returns a *GapError when pos lies beyond End and ErrWidth when
// hidden is not a whole number of rows; then nothing is queued.
func (b *Backlog) Append(pos int, hidden []float32) error {
	if err := checkWidth(b.width, hidden); err != nil {
		return err
	}
	end := b.End()
	if pos > end {
		return &GapError{Have: end, Got: pos}
	}
	known := end - pos
	if known >= len(hidden)/b.width {
		return nil
	}
	hidden = hidden[known*b.width:]
	b.compact(len(hidden))
	b.rows = append(b.rows, hidden...)
	return nil
}

func checkWidth(width int, hidden []float32) error {
	if width <= 0 || len(hidden)%width != 0 {
		return fmt.Errorf("%w: %d float32 at width %d", ErrWidth, len(hidden), width)
	}
	return nil
}

// Take removes up to limit rows from the front and returns the position of the
// first with the rows, [n][n_embd]float32. The rows stay valid until the next
// Append or Take.
func (b *Backlog) Take(limit int) (pos int, hidden []float32) {
	pos = b.base
	hidden = b.Peek(pos, limit)
	b.head += len(hidden)
	b.base += len(hidden) / max(b.width, 1)
	if b.head == len(b.rows) && cap(b.rows)*4 > keepBytes {
		b.rows, b.head = nil, 0
	}
	return pos, hidden
}

// Peek returns up to limit queued rows from position pos on without removing
// them, [n][n_embd]float32, none when pos is not queued. The rows stay valid
// until the next Append or Take.
func (b *Backlog) Peek(pos, limit int) []float32 {
	if pos < b.base || pos >= b.End() || limit <= 0 {
		return nil
	}
	from := b.head + (pos-b.base)*b.width
	n := min(limit, b.End()-pos) * b.width
	return b.rows[from : from+n : from+n]
}

// Truncate forgets the rows at pos and above. When pos lies below Base, Base
// and End become pos, and the caller truncates the KV cache of the stage that
// took them.
func (b *Backlog) Truncate(pos int) {
	pos = max(pos, 0)
	switch {
	case pos < b.base:
		b.base = pos
		b.rows = b.rows[:b.head]
	case pos < b.End():
		b.rows = b.rows[:b.head+(pos-b.base)*b.width]
	}
}

// compact makes room for n more float32 out of the space of taken rows, so that
// memory follows the rows queued and not the rows ever seen.
func (b *Backlog) compact(n int) {
	queued := len(b.rows) - b.head
	if b.head == 0 || (len(b.rows)+n <= cap(b.rows) && queued > 0) {
		return
	}
	if queued > b.head {
		return // moving less than half keeps the cost per row constant
	}
	copy(b.rows, b.rows[b.head:])
	b.rows, b.head = b.rows[:queued], 0
}
