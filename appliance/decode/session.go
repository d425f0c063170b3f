package decode

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"skerry/cloudlink/monitor"
)

// prefillRows is how many prompt positions the head stage computes before it
// hands their hidden states on: small enough that the upload keeps up.
const prefillRows = 64

// Session is one conversation: the tokens so far and what each stage has of
// them. It is used by one goroutine at a time.
type Session struct {
	model Model
	seq   int
	cloud Cloud
	lost  error     // why the cloud is of no more use, for good
	away  bool      // the link is lost at present
	shun  time.Time // until when a busy cloud is left alone
	lead  Switch    // Collaborative or Standalone, as the link allows
	why   Reason    // of the mode held, where it is Standalone
	// downSince is since when the outlook has said that the link is down.
	downSince time.Time

	tokens []int32 // by position
	whole  bool    // the positions are the whole model's, else the exits' stages'
	past   atomic.Pointer[past]
	rows   []float32 // [head][n_embd] after exit 1, kept while there is a cloud
	fed    int       // of them the cloud has been given
	head   int       // positions the head stage (or, unsplit, the whole model) has computed
	mid    *lane     // nil with one exit
	hidden []float32
	row    []float32 // unsplit: logits after the last position
	told   []int32   // CloudOnly: what the cloud has
	asks   int

	headCost monitor.BatchCost // of an exit head; they are about alike
	agreed   map[Source]Agreement
}

// NewSession starts an empty session in sequence seq of the model's stages. The
// cloud may be nil.
func NewSession(m Model, seq int, cloud Cloud) *Session {
	s := &Session{model: m, seq: seq, cloud: cloud, lead: Switch{Dwell: switchDwell, mode: Collaborative}, agreed: map[Source]Agreement{}}
	if len(m.Exits) > 1 {
		s.mid = newLane(m.Exits[1].Stage, seq)
	}
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
	if pos >= s.head {
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
	s.cutRows(pos)
	s.settled()
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
	for kept < len(prompt) && kept < len(s.tokens) && kept < s.head && prompt[kept] == s.tokens[kept] {
		kept++
	}
	kept = min(kept, len(prompt)-1) // the last position is computed again: its logits are wanted
	if err := s.Truncate(kept); err != nil {
		return 0, err
	}
	s.tokens = slices.Concat(s.tokens[:kept], prompt[kept:]) // never in place: forks read the old ones
	return kept, nil
}

func (s *Session) caughtUp() int {
	if s.mid == nil {
		return 0
	}
	return s.mid.rows
}

// prepare checks what can be checked before anything is computed.
func (s *Session) prepare(prompt []int32, o Options) (step, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	st := steps[o.Mode]
	switch {
	case len(prompt) == 0:
		return nil, fmt.Errorf("the prompt is empty")
	case len(o.Said) > 0 && o.MaxTokens > 0 && len(o.Said) >= o.MaxTokens:
		return nil, fmt.Errorf("the answer has its %d tokens already", len(o.Said))
	case len(prompt)+len(o.Said) >= s.model.Context:
		return nil, fmt.Errorf("%w: it is %d tokens, the context %d: shorten it or raise --context", ErrPromptTooLong, len(prompt), s.model.Context)
	case o.Mode == Unsplit && s.model.Whole == nil:
		return nil, fmt.Errorf("mode unsplit needs the whole model, which is not loaded")
	case o.Mode != Unsplit && o.Mode != CloudOnly && len(s.model.Exits) == 0:
		return nil, fmt.Errorf("mode %s needs the board's stages, which are not loaded", o.Mode)
	}
	return st, s.cloudFor(o.Mode)
}
