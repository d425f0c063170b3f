package hidden

import (
	"fmt"
	"iter"
	"sync"
)

// BlockRows is how many positions one block of a Buffer holds. A batch of the engine
// is no larger, and contexts are multiples of it.
const BlockRows = 256

// Buffer keeps hidden states by position, one row of n_embd float32 each, once for all
// who want them: the stages that catch up later, and the session that sends them to the
// cloud again. Its memory is a number of blocks of BlockRows rows, which neither move nor
// grow.
//
// One writer puts rows and reads them with Run. All others read with View, from any
// goroutine. Which rows there are is for those who use a Buffer to know: it has what was
// put and not dropped, and what was never put reads as zeros.
type Buffer struct {
	width int

	mu     sync.RWMutex // guards all following, and what the blocks hold
	first  int          // number of blocks[0]
	blocks [][]float32  // of BlockRows rows each, or nil
}

// NewBuffer returns an empty buffer for rows of width float32.
func NewBuffer(width int) *Buffer { return &Buffer{width: width} }

// Width returns how many float32 a row has.
func (b *Buffer) Width() int { return b.width }

// Bytes returns the memory that the buffer holds on to.
func (b *Buffer) Bytes() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := 0
	for _, block := range b.blocks {
		n += 4 * len(block)
	}
	return n
}

// Put copies rows, [n][n_embd]float32, to the positions from pos on. It returns ErrWidth
// when they are not a whole number of rows; then nothing is put.
func (b *Buffer) Put(pos int, rows []float32) error {
	if err := checkWidth(b.width, rows); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(rows) > 0 {
		at := pos % BlockRows * b.width
		n := copy(b.block(pos / BlockRows)[at:], rows)
		rows, pos = rows[n:], pos+n/b.width
	}
	return nil
}

// block returns the block with a number, which it makes where there is none; mu is
// held.
func (b *Buffer) block(number int) []float32 {
	if len(b.blocks) == 0 {
		b.first = number
	}
	if number < b.first {
		b.blocks = append(make([][]float32, b.first-number), b.blocks...)
		b.first = number
	}
	for number >= b.first+len(b.blocks) {
		b.blocks = append(b.blocks, nil)
	}
	if b.blocks[number-b.first] == nil {
		b.blocks[number-b.first] = make([]float32, BlockRows*b.width)
	}
	return b.blocks[number-b.first]
}

// Run returns the rows from pos up to end, or to where their memory is no longer in one
// piece: [n][n_embd]float32, none where nothing was put. It is for the writer alone, and
// the rows stay until others are put in their place.
func (b *Buffer) Run(pos, end int) []float32 {
	i := pos/BlockRows - b.first
	if pos < 0 || end <= pos || i < 0 || i >= len(b.blocks) || b.blocks[i] == nil {
		return nil
	}
	at := pos % BlockRows
	n := min(end-pos, BlockRows-at)
	return b.blocks[i][at*b.width : (at+n)*b.width : (at+n)*b.width]
}

// Runs yields the rows from pos up to end, each piece of them with its position. It is
// for the writer alone.
func (b *Buffer) Runs(pos, end int) iter.Seq2[int, []float32] {
	return func(yield func(int, []float32) bool) {
		for pos < end {
			rows := b.Run(pos, end)
			if len(rows) == 0 || !yield(pos, rows) {
				return
			}
			pos += len(rows) / b.width
		}
	}
}

// View has f read what Run would return. The rows do not change while it does, and are
// not f's to keep.
func (b *Buffer) View(pos, end int, f func(rows []float32)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f(b.Run(pos, end))
}

// CopyTo puts the rows from pos up to end into another buffer of the same width, from any
// goroutine.
func (b *Buffer) CopyTo(to *Buffer, pos, end int) error {
	var piece []float32 // so that never both buffers are locked
	for pos < end {
		b.View(pos, end, func(rows []float32) { piece = append(piece[:0], rows...) })
		if len(piece) == 0 {
			return fmt.Errorf("the hidden state of position %d was forgotten", pos)
		}
		if err := to.Put(pos, piece); err != nil {
			return err
		}
		pos += len(piece) / b.width
	}
	return nil
}

// Forget frees the memory of rows below pos, as far as whole blocks do.
func (b *Buffer) Forget(pos int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := min(pos/BlockRows-b.first, len(b.blocks)); n > 0 {
		b.blocks = append([][]float32(nil), b.blocks[n:]...)
		b.first += n
	}
}

// Truncate frees the memory of rows at pos and above, as far as whole blocks do.
func (b *Buffer) Truncate(pos int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := max((max(pos, 0)+BlockRows-1)/BlockRows-b.first, 0)
	for i := keep; i < len(b.blocks); i++ {
		b.blocks[i] = nil
	}
	b.blocks = b.blocks[:min(keep, len(b.blocks))]
}
