package decode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"skerry/appliance/engine"
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
	lost  error

	tokens []int32 // by position
	head   int     // positions the head stage (or, unsplit, the whole model) has computed
	mid    *lane   // nil with one exit
	hidden []float32
	row    []float32 // unsplit: logits after the last position
	asks   int
}

// NewSession starts an empty session in sequence seq of the model's stages. The
// cloud may be nil.
func NewSession(m Model, seq int, cloud Cloud) *Session {
	s := &Session{model: m, seq: seq, cloud: cloud}
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
	if s.cloud != nil && s.lost == nil {
		if err := s.cloud.Truncate(pos); err != nil {
			s.lose(err)
		}
	}
	return nil
}

// lose goes on without the cloud.
func (s *Session) lose(err error) {
	if s.lost == nil {
		s.lost = err
	}
}

// setPrompt makes the session's tokens those of the prompt, keeping what the
// stages have of their common prefix.
func (s *Session) setPrompt(prompt []int32) (kept int, err error) {
	for kept < len(prompt) && kept < len(s.tokens) && kept < s.head && prompt[kept] == s.tokens[kept] {
		kept++
	}
	kept = min(kept, len(prompt)-1) // the last position is computed again: its logits are wanted
	if err := s.Truncate(kept); err != nil {
		return 0, err
	}
	s.tokens = append(s.tokens[:kept], prompt[kept:]...)
	return kept, nil
}

// Generate answers a prompt, calling emit (which may be nil) with each token as
// it is decided. A prompt that begins with the session's own tokens costs only
// the rest. It returns the answer so far together with any error; a cancelled
// ctx is no error.
func (s *Session) Generate(ctx context.Context, prompt []int32, o Options, emit func(Token)) (Answer, error) {
	start := time.Now()
	a := Answer{PromptTokens: len(prompt)}
	step, err := s.prepare(prompt, o)
	if err != nil {
		return a, err
	}
	sampler, err := engine.NewSampler(s.model.Vocab, o.Sampling)
	if err != nil {
		return a, err
	}
	defer sampler.Close()
	for _, id := range s.penaltyWindow(prompt, o) {
		if err := sampler.Accept(id); err != nil {
			return a, err
		}
	}
	kept, err := s.setPrompt(prompt)
	if err != nil {
		return a, err
	}
	a.Prefilled = len(prompt) - kept
	asks, caught := s.asks, s.caughtUp()
	var text textJoiner
	l := loop{Session: s, opt: o, sampler: sampler}
	for {
		tokens, err := step(&l, ctx)
		for _, t := range tokens {
			if a.FirstToken == 0 {
				a.FirstToken = time.Since(start)
			}
			end := s.model.Vocab.End(t.ID) && !o.IgnoreEnd
			if !end {
				t.Text = text.push(s.model.Vocab.Piece(t.ID, false))
			}
			s.tokens = append(s.tokens, t.ID)
			if end || len(a.Tokens)+1 == o.MaxTokens || len(s.tokens) == s.model.Context {
				t.Text += text.flush()
				a.Finish = FinishLength
				if end {
					a.Finish = FinishStop
				}
			}
			a.Tokens = append(a.Tokens, t)
			a.Text += t.Text
			if emit != nil {
				emit(t)
			}
			if a.Finish != "" {
				break
			}
			if err := sampler.Accept(t.ID); err != nil {
				return a, err
			}
		}
		if err != nil {
			a.Finish = FinishCancel
			if errors.Is(err, errLost) {
				a.Finish = FinishLost
			}
			if ctx.Err() != nil {
				err = nil
			}
		}
		if a.Finish != "" {
			a.Total, a.Asks, a.CaughtUp, a.Lost = time.Since(start), s.asks-asks, s.caughtUp()-caught, s.lost
			return a, err
		}
	}
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
	case len(prompt) >= s.model.Context:
		return nil, fmt.Errorf("%w: it is %d tokens, the context %d: shorten it or raise --context", ErrPromptTooLong, len(prompt), s.model.Context)
	case o.Mode == Unsplit && s.model.Whole == nil:
		return nil, fmt.Errorf("mode unsplit needs the whole model, which is not loaded")
	case o.Mode != Unsplit && len(s.model.Exits) == 0:
		return nil, fmt.Errorf("mode %s needs the board's stages, which are not loaded", o.Mode)
	case o.Mode == Collaborative && s.cloud == nil:
		return nil, fmt.Errorf("mode collaborative needs a cloud partition")
	}
	return st, nil
}

// penaltyWindow is the part of the prompt that penalties look at. A grammar
// begins with the answer.
func (s *Session) penaltyWindow(prompt []int32, o Options) []int32 {
	if o.Sampling.Grammar != "" {
		return nil
	}
	return prompt
}

// textJoiner turns token pieces into text that never ends inside a character.
type textJoiner struct{ pending []byte }

func (t *textJoiner) push(piece []byte) string {
	t.pending = append(t.pending, piece...)
	n := len(t.pending)
	for i := 1; i <= min(utf8.UTFMax, n); i++ {
		if b := t.pending[n-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(t.pending[n-i:]) {
				n -= i
			}
			break
		}
	}
	out := strings.ToValidUTF8(string(t.pending[:n]), "\uFFFD")
	t.pending = append(t.pending[:0], t.pending[n:]...)
	return out
}

func (t *textJoiner) flush() string {
	out := strings.ToValidUTF8(string(t.pending), "\uFFFD")
	t.pending = nil
	return out
}
