// Package fakestage is a stand-in for the tail stage in tests. Its logits
// depend on every hidden state of the sequence and on their order, so that a
// row missed, doubled, misplaced or left over from a rejected draft changes
// them.
package fakestage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/partition"
)

// Stage is a fake partition.Stage.
type Stage struct {
	WidthN, VocabN, SequencesN, ContextN, MaxRowsN int
	PositionBytesN                                 int

	Forwards, Rows, Wanted atomic.Int64
	Shared                 atomic.Int64     // forwards with rows of several sequences
	Before                 func(rows int)   // called before each forward, if set
	Fail                   func() error     // makes a forward fail, if set
	mu                     sync.Mutex       // the scheduler is the only caller; tests look on
	chains                 map[int][]uint64 // by sequence, the chain after each position
}

// New returns a stage with room for seqs sequences.
func New(width, vocab, seqs, context, maxRows int) *Stage {
	return &Stage{
		WidthN: width, VocabN: vocab, SequencesN: seqs, ContextN: context, MaxRowsN: maxRows,
		chains: map[int][]uint64{},
	}
}

func (s *Stage) Width() int     { return s.WidthN }
func (s *Stage) Vocab() int     { return s.VocabN }
func (s *Stage) Sequences() int { return s.SequencesN }
func (s *Stage) Context() int   { return s.ContextN }
func (s *Stage) MaxRows() int   { return s.MaxRowsN }

// Weights and KV are what a fake stage says that it takes, in bytes.
const Weights, KV = 7000, 3000

// Bytes is what a stage took when it was opened.
func (s *Stage) Bytes() (weights, kv int64) { return Weights, KV }

// PositionBytes is what a position counts for in the server's budget.
func (s *Stage) PositionBytes() int { return s.PositionBytesN }

// Forward refuses a position that is not the next of its sequence.
func (s *Stage) Forward(rows partition.Rows) ([]float32, error) {
	n := rows.Len()
	if s.Before != nil {
		s.Before(n)
	}
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Forwards.Add(1)
	s.Rows.Add(int64(n))
	if n == 0 || n > s.MaxRowsN || len(rows.Hidden) != n*s.WidthN || len(rows.Tokens) > 0 {
		return nil, fmt.Errorf("fake stage: %d rows in one forward, at most %d, of %d hidden values", n, s.MaxRowsN, len(rows.Hidden))
	}
	var out []float32
	for i := range n {
		seq, pos := int(rows.Seq[i]), int(rows.Pos[i])
		if i > 0 && rows.Seq[i] != rows.Seq[0] && rows.Seq[i-1] == rows.Seq[0] {
			s.Shared.Add(1)
		}
		chain := s.chains[seq]
		if pos != len(chain) || seq < 0 || seq >= s.SequencesN {
			return nil, fmt.Errorf("fake stage: position %d of sequence %d, which holds %d", pos, seq, len(chain))
		}
		h := Chain(last(chain), rows.Hidden[i*s.WidthN:][:s.WidthN])
		s.chains[seq] = append(chain, h)
		if len(chain) >= s.ContextN {
			return nil, fmt.Errorf("fake stage: a sequence holds %d positions and no more", s.ContextN)
		}
		if rows.Wanted[i] {
			s.Wanted.Add(1)
			out = append(out, Logits(h, s.VocabN)...)
		}
	}
	return out, nil
}

// Truncate forgets the positions at pos and above.
func (s *Stage) Truncate(seq, pos int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if chain := s.chains[seq]; pos < len(chain) {
		s.chains[seq] = chain[:pos]
	}
	return nil
}

// Held returns the positions of all sequences together.
func (s *Stage) Held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held()
}

func (s *Stage) held() int {
	n := 0
	for _, c := range s.chains {
		n += len(c)
	}
	return n
}

func last(chain []uint64) uint64 {
	if len(chain) == 0 {
		return 0
	}
	return chain[len(chain)-1]
}

// Chain extends the chain of a sequence by one hidden state.
func Chain(before uint64, hidden []float32) uint64 {
	h := fnv.New64a() // the same in every process
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+4*len(hidden)), before)
	for _, f := range hidden {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	h.Write(b)
	return h.Sum64()
}

// Logits returns the row of a chain, [vocab]float32.
func Logits(chain uint64, vocab int) []float32 {
	row := make([]float32, vocab)
	for i := range row {
		x := (chain + uint64(i)) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 32
		row[i] = float32(x>>44)/float32(1<<16) - 8
	}
	return row
}

// Expect returns the row the stage gives after hidden, [n][width]float32.
func Expect(hidden []float32, width, vocab int) []float32 {
	var chain uint64
	for ; len(hidden) > 0; hidden = hidden[width:] {
		chain = Chain(chain, hidden[:width])
	}
	return Logits(chain, vocab)
}

// Cost makes a Before that takes the time of a stage whose first row costs t
// and every other m times that. In a synctest bubble it is virtual.
func Cost(t time.Duration, m float64) func(rows int) {
	return func(rows int) {
		time.Sleep(time.Duration(float64(t) * (1 + m*float64(rows-1))))
	}
}

// Whole is a Stage of width 1 that takes token ids, as a partition.WholeStage.
type Whole struct{ *Stage }

// Forward computes rows of token ids.
func (w Whole) Forward(rows partition.Rows) ([]float32, error) {
	if len(rows.Hidden) > 0 {
		return nil, fmt.Errorf("fake stage: a hidden state where a token id was due")
	}
	rows.Hidden = make([]float32, rows.Len())
	for i, id := range rows.Tokens {
		rows.Hidden[i] = float32(id)
	}
	rows.Tokens = nil
	return w.Stage.Forward(rows)
}

// ExpectTokens returns the row the whole stage gives after ids.
func ExpectTokens(ids []int32, vocab int) []float32 {
	hidden := make([]float32, len(ids))
	for i, id := range ids {
		hidden[i] = float32(id)
	}
	return Expect(hidden, 1, vocab)
}

// ErrState is of bytes that Import takes for no sequence.
var ErrState = errors.New("fake stage: not a sequence")

// ExportPrefix is the first pos positions of a sequence.
func (s *Stage) ExportPrefix(seq, pos int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	chain := s.chains[seq]
	if pos > len(chain) {
		return nil, fmt.Errorf("fake stage: export of %d positions of sequence %d, which holds %d", pos, seq, len(chain))
	}
	var b []byte
	for _, h := range chain[:pos] {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return binary.LittleEndian.AppendUint64(b, uint64(pos)), nil
}

// Import replaces a sequence by an exported one.
func (s *Stage) Import(seq int, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chains[seq] = nil
	n := len(state)/8 - 1
	if n < 0 || len(state)%8 != 0 || binary.LittleEndian.Uint64(state[8*n:]) != uint64(n) {
		return ErrState
	}
	for i := range n {
		s.chains[seq] = append(s.chains[seq], binary.LittleEndian.Uint64(state[8*i:]))
	}
	return nil
}
