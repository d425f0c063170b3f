package decode

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync"

	"skerry/appliance/engine"
)

// TokenStage takes the place of the head stage before a cloud that holds the whole model:
// what it makes of a position is no hidden state but the token id, a row of width 1, which a
// float32 holds exactly below 2^24. It computes nothing and has no exit; with it a board
// needs no blocks of the model, and a draft model says what is said here.
type TokenStage struct {
	mu   sync.Mutex  // guards all following
	held map[int]int // positions, by sequence
}

var _ SequenceStore = (*TokenStage)(nil)

// NewTokenStage returns a stage of empty sequences.
func NewTokenStage() *TokenStage { return &TokenStage{held: map[int]int{}} }

// Width is that of a token id among hidden states.
func (*TokenStage) Width() int { return 1 }

// Forward returns the ids of the rows that want hidden states. It refuses a position that
// is not the next of its sequence.
func (t *TokenStage) Forward(b engine.Batch) (out engine.Output, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(b.Tokens) != len(b.Pos) {
		return out, fmt.Errorf("%d token ids for %d positions", len(b.Tokens), len(b.Pos))
	}
	held := maps.Clone(t.held)
	for i, id := range b.Tokens {
		seq := 0
		if b.Seq != nil {
			seq = int(b.Seq[i])
		}
		if int(b.Pos[i]) != held[seq] {
			return engine.Output{}, fmt.Errorf("position %d of sequence %d, which holds %d token ids", b.Pos[i], seq, held[seq])
		}
		held[seq]++
		if b.Want != nil && b.Want[i]&engine.WantHidden != 0 {
			out.Hidden = append(out.Hidden, float32(id))
		}
	}
	t.held = held
	return out, nil
}

// Truncate forgets the positions of a sequence from pos on.
func (t *TokenStage) Truncate(seq, pos int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[seq] = min(t.held[seq], max(pos, 0))
	return nil
}

// Position is one past the last position of a sequence.
func (t *TokenStage) Position(seq int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[seq]
}

// Copy has one sequence hold as many positions as another, up to pos.
func (t *TokenStage) Copy(from, to, pos int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[to] = min(t.held[from], pos)
	return nil
}

// ExportPrefix is how many positions a sequence holds, up to pos; Import the way back.
func (t *TokenStage) ExportPrefix(seq, pos int) ([]byte, error) {
	return binary.AppendUvarint(nil, uint64(min(t.Position(seq), pos))), nil
}

// Import has a sequence hold what ExportPrefix returned.
func (t *TokenStage) Import(seq int, state []byte) error {
	n, size := binary.Uvarint(state)
	if size <= 0 || size != len(state) || n > 1<<30 {
		return fmt.Errorf("%d bytes are no number of positions", len(state))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[seq] = int(n)
	return nil
}

// SendsTokens reports whether a cloud is sent token ids in place of hidden states.
func (m Model) SendsTokens() bool {
	if len(m.Exits) == 0 {
		return false
	}
	_, ok := m.Exits[0].Stage.(*TokenStage)
	return ok
}
