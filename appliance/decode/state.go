package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"skerry/cloudlink/hidden"
)

// SequenceStore is a Stage whose sequences can be copied, kept and brought back;
// *engine.Stage is one.
type SequenceStore interface {
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
	KV     [][]byte  // by stage; behind them that of a draft model, of as many positions as it had
}

// errNoSequenceStore is returned for stages that only compute.
var errNoSequenceStore = errors.New("these stages cannot copy or keep positions")

// snapshot is what a session has computed for good, as others may read it.
type snapshot struct {
	whole  bool
	tokens []int32
	head   int // of them computed by the stages, and by the draft model
	draft  int
	drafts bool // there is a draft model
	rows   source
}

// publish lets others see what has been computed.
func (s *Session) publish() {
	head, n := min(s.head, len(s.tokens)), s.computed()
	p := &snapshot{whole: s.whole, tokens: s.tokens[:n:n], head: head, draft: s.draft.inStep(), drafts: s.draft != nil}
	if s.rows.from == 0 && !s.whole && s.keepsRows() {
		p.rows = source{buffer: s.rows.buffer, n: head}
	}
	s.snapshot.Store(p)
}

// Held are the ids of the positions computed so far, not to be changed. It may be
// called at any time, from any goroutine.
func (s *Session) Held() []int32 {
	if p := s.snapshot.Load(); p != nil {
		return p.tokens
	}
	return nil
}

// DraftBehind is how many of the positions so far the draft model has yet to compute before it can
// speak, false where there is none. It may be called at any time, from any goroutine.
func (s *Session) DraftBehind() (int, bool) {
	p := s.snapshot.Load()
	if p == nil || !p.drafts {
		return 0, false
	}
	return max(0, len(p.tokens)-1-p.draft), true // the last comes with what it says next
}

// Fork has the session, which must be idle, hold up to pos of the positions that
// another one of the same model holds, in place of what it held, and returns how
// many they are. The other may be answering, as long as it forgets none of them
// meanwhile.
func (s *Session) Fork(from *Session, pos int) (int, error) {
	if err := s.Truncate(0); err != nil {
		return 0, err
	}
	p := from.snapshot.Load()
	if p == nil || s == from {
		return 0, nil
	}
	s.whole = p.whole
	pos = min(pos, len(p.tokens))
	head, draft := min(pos, p.head), min(pos, p.draft)
	if pos == 0 || s.lacksRows(head, p.rows) {
		return 0, nil
	}
	stages, err := s.stores()
	for i := 0; err == nil && i < len(stages); i++ {
		err = stages[i].Copy(from.seq, s.seq, head)
	}
	if k := s.draftStore(); err == nil && k != nil {
		err = k.Copy(from.seq, s.seq, draft)
	}
	return s.adopt(p.tokens[:pos], p.rows, err)
}

// lacksRows reports whether the cloud, or the rest of the model here, could not be given the
// first pos positions.
func (s *Session) lacksRows(pos int, rows source) bool {
	return !s.whole && s.keepsRows() && rows.n < pos
}

// stores are the stages that hold the session's positions.
func (s *Session) stores() (out []SequenceStore, err error) {
	var stages []Stage
	if s.whole {
		stages = append(stages, s.model.Whole)
	} else {
		for _, e := range s.model.Exits {
			stages = append(stages, e.Stage)
		}
	}
	for _, st := range stages {
		k, ok := st.(SequenceStore)
		if !ok {
			return nil, errNoSequenceStore
		}
		out = append(out, k)
	}
	return out, nil
}

// draftStore is the draft model's stage, nil where there is none or it cannot keep positions.
func (s *Session) draftStore() SequenceStore {
	if s.draft == nil {
		return nil
	}
	k, _ := s.draft.model.Stage.(SequenceStore)
	return k
}

// adopt takes over positions whose KV the stages have been given. What a later
// stage lacks goes into its backlog where the rows are there; else the session
// holds only what all stages have. After an error it is empty.
func (s *Session) adopt(tokens []int32, rows source, err error) (int, error) {
	pos := len(tokens)
	var stages []SequenceStore
	if err == nil {
		stages, err = s.stores()
	}
	if err != nil {
		return 0, errors.Join(err, s.empty())
	}
	head := 0
	if len(stages) > 0 {
		head = min(pos, stages[0].Position(s.seq))
	}
	mid := head
	if s.mid != nil && !s.whole {
		mid = min(head, stages[1].Position(s.seq))
		if rows.n < head {
			head = mid
		}
	}
	s.tokens, s.head = slices.Clone(tokens), head
	if s.draft != nil {
		_, err = s.draft.adopt(s.tokens)
	}
	pos = s.computed()
	s.tokens = s.tokens[:pos]
	if s.rows.from = 0; !s.whole {
		if !s.keepsRows() { // but for those that the mid stage has not computed
			s.rows.from = mid
		}
		if s.rows.from < head {
			err = errors.Join(err, rows.copyTo(s.rows.buffer, s.rows.from, head))
		}
	}
	for _, k := range stages {
		err = errors.Join(err, k.(Stage).Truncate(s.seq, head))
	}
	if s.mid != nil && !s.whole {
		s.mid.queue, s.mid.lastPos = hidden.PendingOf(s.rows.buffer, mid, head), -1
	}
	if err != nil {
		return 0, errors.Join(err, s.empty())
	}
	s.publish()
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
		s.mid.queue, s.mid.lastPos = hidden.PendingOf(s.rows.buffer, 0, 0), -1
	}
	err = errors.Join(err, s.tail.truncate(0))
	if s.draft != nil {
		s.draft.held = nil
		err = errors.Join(err, s.draft.model.Stage.Truncate(s.seq, 0))
	}
	s.tokens, s.head = nil, 0
	s.cutRows(0)
	s.publish()
	return err
}

// Export is the state of the session's first pos positions, or of all it has. The
// session must be idle; stages that lag behind catch up first, in chunks between
// which ctx may end it.
func (s *Session) Export(ctx context.Context, pos int) (State, error) {
	st := State{Whole: s.whole}
	if len(s.model.Exits) == 0 && !s.whole { // a draft model alone
		pos = min(pos, s.draft.inStep())
	} else {
		pos = min(pos, s.head, len(s.tokens))
	}
	if pos <= 0 {
		return st, nil
	}
	stages, err := s.stores()
	if err != nil {
		return st, err
	}
	if s.mid != nil && !s.whole && s.mid.queue.Base() < pos {
		if err := s.mid.catchUpAll(ctx); err != nil {
			return st, err
		}
	}
	st.Tokens = s.tokens[:pos:pos]
	if s.rows.from == 0 && !s.whole && s.keepsRows() { // a copy: the state is written down while the session goes on
		st.Hidden = make([]float32, 0, pos*s.width())
		for _, rows := range s.rows.buffer.Runs(0, pos) {
			st.Hidden = append(st.Hidden, rows...)
		}
	}
	for _, k := range stages {
		kv, err := k.ExportPrefix(s.seq, pos)
		if err != nil {
			return st, err
		}
		st.KV = append(st.KV, kv)
	}
	if k := s.draftStore(); k != nil {
		kv, err := k.ExportPrefix(s.seq, min(pos, s.draft.inStep()))
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
	rows := source{flat: st.Hidden, n: len(st.Hidden) / max(s.width(), 1)}
	if s.lacksRows(len(st.Tokens), rows) {
		return 0, nil
	}
	stages, err := s.stores()
	draft := s.draftStore()
	if err == nil && draft != nil && len(st.KV) == len(stages)+1 {
		if err = draft.Import(s.seq, st.KV[len(stages)]); err == nil {
			st.KV = st.KV[:len(stages)]
		}
	}
	if draft == nil && s.model.Draft != nil && len(st.KV) == len(stages)+1 { // it was given up
		st.KV = st.KV[:len(stages)]
	}
	if err == nil && (len(st.KV) != len(stages) || len(st.Tokens) == 0 || len(st.Tokens) >= s.model.Context) {
		err = fmt.Errorf("a state of %d positions and %d stages is not for this session", len(st.Tokens), len(st.KV))
	}
	for i := 0; err == nil && i < len(stages); i++ {
		if err = stages[i].Import(s.seq, st.KV[i]); err == nil && stages[i].Position(s.seq) != len(st.Tokens) {
			err = fmt.Errorf("the state of stage %d has %d positions, not %d", i+1, stages[i].Position(s.seq), len(st.Tokens))
		}
	}
	return s.adopt(st.Tokens, rows, err)
}
