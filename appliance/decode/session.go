package decode

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"skerry/appliance/decode/speculate"
	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
	"skerry/cloudlink/monitor"
)

// prefillRows is how many prompt positions the head stage computes before it
// hands their hidden states on: small enough that the upload keeps up.
const prefillRows = 64

// Session is one conversation: the tokens so far and what each stage has of
// them. It is used by one goroutine at a time.
type Session struct {
	model        Model
	seq          int
	cloud        Cloud
	cloudErr     error        // why the cloud is of no more use, for good
	disconnected bool         // the link is lost at present
	busyUntil    time.Time    // until when a busy cloud is left alone
	leader       Switch       // Collaborative or Standalone, as the link allows
	why          infer.Reason // of the mode held, where it is Standalone
	// downSince is since when the estimator has reported the link down, zero while it is up.
	downSince time.Time

	tokens   []int32 // by position
	whole    bool    // the positions are the whole model's, else the exits' stages'
	snapshot atomic.Pointer[snapshot]
	rows     kept
	uploaded int        // positions of which the cloud has been given the rows
	head     int        // positions the head stage (or, unsplit, the whole model) has computed
	mid      *lazyStage // nil with one exit
	tail     localTail  // the model after exit 1, on the board
	// tailActive is set while the tail computes the tokens, in place of the cloud.
	tailActive  bool
	hidden      []float32
	row         []float32 // unsplit: logits after the last position
	cloudTokens []int32   // CloudOnly: what the cloud has
	asks        int

	drafts     []drafter         // in the order in which they are asked
	free       []drafter         // those that only propose
	heads      []headDraft       // by exit; none with a TokenStage
	draft      *modelDraft       // nil for none, or given up
	noDraft    error             // why it was given up
	headCost   monitor.BatchCost // of an exit head; they are about alike
	draftToken monitor.BatchCost // of a drafted token
	proposed   map[infer.Source]infer.Agreement
	// verifiers are what was learnt of drafts and their checks, by mode.
	verifiers map[infer.Mode]*speculate.Verifier
}

// NewSession starts an empty session in sequence seq of the model's stages. The
// cloud may be nil.
func NewSession(m Model, seq int, cloud Cloud) *Session {
	s := &Session{model: m, seq: seq, cloud: cloud, leader: Switch{Dwell: switchDwell, mode: Collaborative}, proposed: map[infer.Source]infer.Agreement{}, verifiers: map[infer.Mode]*speculate.Verifier{}}
	s.rows.buffer = hidden.NewBuffer(m.width())
	s.tail = localTail{stage: m.Tail, seq: seq, context: cmp.Or(m.TailContext, m.Context)}
	if len(m.Exits) > 1 {
		s.mid = newLazyStageOver(m.Exits[1].Stage, seq, s.rows.buffer)
	}
	for i, e := range m.Exits {
		if e.Head != nil {
			s.heads = append(s.heads, headDraft{s, i})
		}
	}
	if m.Draft != nil {
		s.draft = &modelDraft{Session: s, model: m.Draft}
	}
	s.openDrafts()
	s.share()
	return s
}

// Tokens are the ids by position, prompt and answers.
func (s *Session) Tokens() []int32 { return s.tokens }

// Truncate forgets all positions from pos on, in every stage and in the cloud.
func (s *Session) Truncate(pos int) error {
	if pos >= len(s.tokens) {
		return nil
	}
	s.tokens = s.tokens[:pos]
	if s.draft != nil {
		if err := s.draft.truncate(pos); err != nil {
			return err
		}
	}
	return s.truncateStages(pos)
}

// truncateStages forgets what was computed of positions from pos on, in every stage but a
// draft model's and in the cloud.
func (s *Session) truncateStages(pos int) error {
	if pos >= s.head {
		s.publish()
		return nil
	}
	s.head = pos
	if s.model.Whole != nil {
		if err := s.model.Whole.Truncate(s.seq, pos); err != nil {
			return err
		}
	}
	if len(s.model.Exits) > 0 {
		if err := s.model.Exits[0].Stage.Truncate(s.seq, pos); err != nil {
			return err
		}
	}
	if s.mid != nil {
		if err := s.mid.truncate(pos); err != nil {
			return err
		}
	}
	if err := s.tail.truncate(pos); err != nil {
		return err
	}
	s.cutRows(pos)
	s.publish()
	return nil
}

// setPrompt makes the session's tokens those of the prompt, keeping what the
// stages have of their common prefix; of those that compute in the mode, the whole
// model or the exits' stages.
func (s *Session) setPrompt(prompt []int32, whole bool) (kept int, err error) {
	if s.whole != whole {
		if err := s.Truncate(0); err != nil {
			return 0, err
		}
		s.whole = whole
	}
	kept = min(commonPrefix(prompt, s.tokens), s.computed(), len(prompt)-1) // the last position is computed again: its logits are wanted
	if err := s.Truncate(kept); err != nil {
		return 0, err
	}
	s.tokens = slices.Concat(s.tokens[:kept], prompt[kept:]) // never in place: forks read the old ones
	return kept, nil
}

// computed is how many positions the stages have at most; a draft model and the head stage
// may lag behind one another.
func (s *Session) computed() int { return min(max(s.head, s.draft.inStep()), len(s.tokens)) }

func (s *Session) caughtUp() int {
	if s.mid == nil {
		return 0
	}
	return s.mid.rows
}

// onlyChecks reports whether nothing on this board is to speak: what is drafted is found in the
// text, the cloud checks it, and without the cloud the answer ends. That is as the options have it, or
// since the draft model was given up.
func (s *Session) onlyChecks(m ModeSpec, o Options) bool {
	return m.Speculates && m.Cloud && (o.OnLoss != infer.GoAlone || s.noDraft != nil) && len(s.model.Exits) > 0 && s.cloud != nil
}

// prepare checks what can be checked before anything is computed.
func (s *Session) prepare(prompt []int32, o Options) (ModeSpec, error) {
	if err := o.Check(); err != nil {
		return ModeSpec{}, err
	}
	m := SpecOf(o.Mode)
	if m.Drafts && !m.Speculates && len(s.heads) == 0 { // nobody else may speak
		s.RetryDraft()
	}
	switch {
	case len(prompt) == 0:
		return m, fmt.Errorf("the prompt is empty")
	case len(o.Said) > 0 && o.MaxTokens > 0 && len(o.Said) >= o.MaxTokens:
		return m, fmt.Errorf("the answer has its %d tokens already", len(o.Said))
	case len(prompt)+len(o.Said) >= s.model.Context:
		return m, fmt.Errorf("%w: it is %d tokens, the context %d: shorten it or raise the context", ErrPromptTooLong, len(prompt), s.model.Context)
	case m.Stages == WholeModel && s.model.Whole == nil:
		return m, fmt.Errorf("mode %s needs the whole model, which is not loaded", o.Mode)
	case m.Stages == ExitStages && len(s.heads) == 0 && !s.onlyChecks(m, o) && (m.Cloud && len(s.model.Exits) == 0 || !m.Drafts || s.draft == nil):
		return m, fmt.Errorf("mode %s needs the board's stages, which are not loaded", o.Mode)
	}
	return m, s.cloudFor(o)
}
