package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"skerry/cloudlink/backlog"
)

// Keeper is a Stage whose sequences can be copied, kept and brought back;
// *engine.Stage is one.
type Keeper interface {
	// Position is one past the last position of a sequence.
	Position(seq int) int
	// Copy makes the first pos positions of one sequence those of another.
	Copy(from, to, pos int) error
	// ExportPrefix is the KV cache of the first pos positions, Import the way back.
	ExportPrefix(seq, pos int) ([]byte, error)
	Import(seq int, state []byte) error
}

// State is what a session holds of a text.
type State struct {
	Whole  bool      // of the whole model, else of the exits' stages
	Tokens []int32   // by position
	Hidden []float32 // [len(Tokens)][n_embd] after exit 1, nil where none were kept
	KV     [][]byte  // by stage
}

// errNoKeeper is of stages that only compute.
var errNoKeeper = errors.New("these stages cannot copy or keep positions")

// past is what a session has computed for good, as others may read it.
type past struct {
	whole  bool
	tokens []int32
	rows   []float32
}

// settled lets others see what has been computed.
func (s *Session) settled() {
	n := min(s.head, len(s.tokens))
	s.past.Store(&past{s.whole, s.tokens[:n:n], s.rows})
}

// Held are the ids of the positions computed so far, not to be changed. It may be
// called at any time, from any goroutine.
func (s *Session) Held() []int32 {
	if p := s.past.Load(); p != nil {
		return p.tokens
	}
	return nil
}

// Fork has the session, which must be idle, hold up to pos of the positions that
// another one of the same model holds, in place of what it held, and returns how
// many they are. The other may be answering, as long as it forgets none of them
// meanwhile.
func (s *Session) Fork(from *Session, pos int) (int, error) {
	if err := s.Truncate(0); err != nil {
		return 0, err
	}
	p := from.past.Load()
	if p == nil || s == from {
		return 0, nil
	}
	s.whole = p.whole
	pos = min(pos, len(p.tokens))
	if pos == 0 || s.lacksRows(pos, p.rows) {
		return 0, nil
	}
	stages, err := s.keepers()
	for i := 0; err == nil && i < len(stages); i++ {
		err = stages[i].Copy(from.seq, s.seq, pos)
	}
	return s.adopt(p.tokens[:pos], p.rows, err)
}

// lacksRows says that the cloud could not be given the first pos positions.
func (s *Session) lacksRows(pos int, rows []float32) bool {
	return !s.whole && s.cloud != nil && s.lost == nil && len(rows) < pos*s.width()
}

// keepers are the stages that hold the session's positions.
func (s *Session) keepers() (out []Keeper, err error) {
	var stages []Stage
	if s.whole {
		stages = append(stages, s.model.Whole)
	} else {
		for _, e := range s.model.Exits {
			stages = append(stages, e.Stage)
		}
	}
	for _, st := range stages {
		k, ok := st.(Keeper)
		if !ok {
			return nil, errNoKeeper
		}
		out = append(out, k)
	}
	return out, nil
}

// adopt takes over positions whose KV the stages have been given. What a later
// stage lacks goes into its backlog where the rows are there; else the session
// holds only what all stages have. After an error it is empty.
func (s *Session) adopt(tokens []int32, rows []float32, err error) (int, error) {
	pos, w := len(tokens), s.width()
	var stages []Keeper
	if err == nil {
		stages, err = s.keepers()
	}
	if err != nil {
		return 0, errors.Join(err, s.empty())
	}
	pos = min(pos, stages[0].Position(s.seq))
	mid := pos
	if s.mid != nil && !s.whole {
		mid = min(pos, stages[1].Position(s.seq))
		if len(rows) < pos*w {
			pos = mid
		}
	}
	s.tokens, s.head = slices.Clone(tokens[:pos]), pos
	if s.cloud != nil && s.lost == nil && !s.whole {
		s.rows = slices.Clone(rows[:pos*w])
	}
	for _, k := range stages {
		err = errors.Join(err, k.(Stage).Truncate(s.seq, pos))
	}
	if s.mid != nil && !s.whole {
		s.mid.queue, s.mid.lastPos = backlog.NewAt(s.mid.stage.Width(), mid), -1
		if mid < pos {
			err = errors.Join(err, s.mid.push(mid, rows[mid*w:pos*w]))
		}
	}
	if err != nil {
		return 0, errors.Join(err, s.empty())
	}
	s.settled()
	return pos, nil
}

// empty forgets everything in every stage, however far each had come.
func (s *Session) empty() (err error) {
	if s.model.Whole != nil {
		err = errors.Join(err, s.model.Whole.Truncate(s.seq, 0))
	}
	for _, e := range s.model.Exits {
		err = errors.Join(err, e.Stage.Truncate(s.seq, 0))
	}
	if s.mid != nil {
		s.mid.queue, s.mid.lastPos = backlog.New(s.mid.stage.Width()), -1
	}
	s.tokens, s.head = nil, 0
	s.cutRows(0)
	s.settled()
	return err
}

// Export is the state of the session's first pos positions, or of all it has. The
// session must be idle; stages that lag behind catch up first, in chunks between
// which ctx may end it.
func (s *Session) Export(ctx context.Context, pos int) (State, error) {
	st := State{Whole: s.whole}
	pos = min(pos, s.head, len(s.tokens))
	if pos <= 0 {
		return st, nil
	}
	stages, err := s.keepers()
	if err != nil {
		return st, err
	}
	if s.mid != nil && !s.whole && s.mid.queue.Base() < pos {
		if err := s.mid.settle(ctx); err != nil {
			return st, err
		}
	}
	st.Tokens = s.tokens[:pos:pos]
	if n := pos * s.width(); len(s.rows) >= n {
		st.Hidden = s.rows[:n:n]
	}
	for _, k := range stages {
		kv, err := k.ExportPrefix(s.seq, pos)
		if err != nil {
			return st, err
		}
		st.KV = append(st.KV, kv)
	}
	return st, nil
}

// Import has the idle session hold an exported state in place of what it held. It
// returns how many positions that are: none where the cloud needs hidden states
// that were not kept. The session is empty after an error.
func (s *Session) Import(st State) (int, error) {
	if err := s.Truncate(0); err != nil {
		return 0, err
	}
	s.whole = st.Whole
	if s.lacksRows(len(st.Tokens), st.Hidden) {
		return 0, nil
	}
	stages, err := s.keepers()
	if err == nil && (len(st.KV) != len(stages) || len(st.Tokens) == 0 || len(st.Tokens) >= s.model.Context) {
		err = fmt.Errorf("a state of %d positions and %d stages is not for this session", len(st.Tokens), len(st.KV))
	}
	for i := 0; err == nil && i < len(stages); i++ {
		if err = stages[i].Import(s.seq, st.KV[i]); err == nil && stages[i].Position(s.seq) != len(st.Tokens) {
			err = fmt.Errorf("the state of stage %d has %d positions, not %d", i+1, stages[i].Position(s.seq), len(st.Tokens))
		}
	}
	return s.adopt(st.Tokens, st.Hidden, err)
}
