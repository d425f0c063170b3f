package decode

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// loop is a session at work on one answer.
type loop struct {
	*Session
	opt       Options
	mode      ModeSpec
	policy    policy.Policy
	sampler   *engine.Sampler
	estimator LinkEstimator // nil where the cloud has none
	late      lateAsks
	result    Result
	text      textJoiner
	emit      func(infer.Token)

	began   time.Time     // of the answer
	clock   time.Time     // when the time of the next token began
	prompt  bool          // the next token is the first after a prompt
	deepest proposal      // the last draft's word on the last position, where computed
	change  *infer.Change // of mode, for the next token to carry

	compared     *drafted // prompt lookup's next token, where it is not checked: to be compared
	draftsFailed bool     // there was no room to check any
	oneRow       bool     // the cloud answers for one position at a time
	disturbed    bool     // the check under way may take longer for what the draft computes meanwhile
	led          bool     // the whole model on the board leads, since it is expected to be faster
	// ahead is what was drafted behind a check that was under way: the next draft's beginning.
	ahead []drafted

	early  earlyAsk
	resent int                               // tokens there were when Naive last sent everything again
	next   func() (infer.Token, error, bool) // CloudOnly: the cloud's stream, nil before it began
	stop   func()                            // ends it
	stream *led                              // of a cloud that goes on by itself, nil while none does
	noLead bool                              // it does not, with this answer
}

// errLost ends an answer whose OnLoss is Stop.
var errLost = errors.New("the cloud was lost")

// Generate answers a prompt, calling emit (which may be nil) with each token as
// it is decided. A prompt that begins with the session's own tokens costs only
// the rest. It returns the answer so far together with any error; a cancelled
// ctx is no error.
func (s *Session) Generate(ctx context.Context, prompt []int32, o Options, emit func(infer.Token)) (Result, error) {
	l := &loop{Session: s, opt: o, emit: emit, began: time.Now(), result: Result{PromptTokens: len(prompt), Agreement: map[infer.Source]infer.Agreement{}, Proposed: map[infer.Source]infer.Agreement{}}}
	mode, err := s.prepare(prompt, o)
	if err != nil {
		return l.result, err
	}
	l.mode = mode
	s.recall()
	defer s.handOn(mode.Name)
	if !mode.Bounded {
		l.opt.MaxTokenLatency = 0
	}
	if mode.Threshold > 0 && len(o.Thresholds) == 0 {
		o.Thresholds = []float64{mode.Threshold}
	}
	if l.policy, err = policy.New(o.Policy, o.Thresholds); err != nil {
		return l.result, err
	}
	if l.sampler, err = s.newSampler(ctx, prompt, o); err != nil {
		return l.result, err
	}
	defer l.sampler.Close()
	known := slices.Concat(prompt, o.Said)
	kept, err := s.setPrompt(known, mode.Stages == WholeModel)
	if err != nil {
		return l.result, err
	}
	for _, id := range o.Said {
		l.text.push(l.model.Vocab.Piece(id, false))
	}
	l.result.Prefilled = len(known) - kept
	if o.Prefill != nil {
		o.Prefill(kept, len(known))
	}
	l.estimator, _ = s.cloud.(LinkEstimator)
	l.late.open(ctx)
	if s.draft != nil {
		s.draft.onRows = l.draftComputed
		defer func(d *modelDraft) { d.onRows = nil }(s.draft)
	}
	asks, caught := s.asks, s.caughtUp()
	for err == nil && l.result.Finish == "" {
		l.clock = time.Now()
		var tokens []infer.Token
		tokens, err = mode.step(l, ctx)
		err = errors.Join(l.emitTokens(tokens), err)
		if o.Decided != nil {
			o.Decided(l.result)
		}
		if full := new(engine.ContextFullError); errors.As(err, &full) && l.result.FirstToken > 0 {
			err, l.result.Finish = nil, infer.Length // a stage has a smaller context than the model
		}
	}
	if l.stop != nil {
		l.stop()
	}
	l.stopLed()
	l.countLate(l.late.close())
	l.finish(err)
	l.result.Draft = cmp.Or(l.result.Draft, s.noDraft) // also where an answer before gave it up
	l.result.Asks, l.result.CaughtUp = s.asks-asks, s.caughtUp()-caught
	if ctx.Err() != nil {
		err = nil
	}
	return l.result, err
}

// newSampler returns a sampler that has seen what its penalties look at. A
// grammar begins with the answer, and so has seen nothing.
func (s *Session) newSampler(ctx context.Context, prompt []int32, o Options) (*engine.Sampler, error) {
	sampler, err := engine.NewSampler(ctx, s.model.Vocab, o.Sampling)
	if err != nil {
		return nil, err
	}
	seen := o.Said
	if o.Sampling.Grammar == "" {
		seen = slices.Concat(prompt, o.Said)
	}
	for _, id := range seen {
		if engine.IsImageToken(id) {
			continue // no text could say it
		}
		if err := sampler.Accept(id); err != nil {
			sampler.Close()
			return nil, err
		}
	}
	return sampler, nil
}

func (l *loop) emitTokens(tokens []infer.Token) error {
	for _, t := range tokens {
		if err := l.emitToken(t); err != nil || l.result.Finish != "" {
			return err
		}
	}
	return nil
}

// emitToken records a token, emits it and notes whether it is the last.
func (l *loop) emitToken(t infer.Token) error {
	a := &l.result
	if a.FirstToken == 0 {
		a.FirstToken = time.Since(l.began)
	}
	end := l.model.Vocab.End(t.ID) && !l.opt.IgnoreEnd
	if !end {
		t.Text = l.text.push(l.model.Vocab.Piece(t.ID, false))
	}
	t.Change, l.change = l.change, nil
	l.tokens = append(l.tokens, t.ID)
	if end || len(l.opt.Said)+len(a.Tokens)+1 == l.opt.MaxTokens || len(l.tokens) == l.model.Context {
		t.Text += l.text.flush()
		a.Finish = infer.Length
		if end {
			a.Finish = infer.Stop
		}
	}
	a.Tokens = append(a.Tokens, t)
	a.Text += t.Text
	if l.emit != nil {
		l.emit(t)
	}
	if a.Finish != "" {
		return nil
	}
	return l.sampler.Accept(t.ID)
}

// finish says how the answer ended.
func (l *loop) finish(err error) {
	if err != nil && l.result.Finish == "" {
		l.result.Finish = infer.Cancelled
		if errors.Is(err, errLost) {
			l.result.Finish = infer.CloudLost
		}
	}
	l.result.Total = time.Since(l.began)
	if l.result.Lost == nil {
		l.result.Lost = l.cloudErr
	}
}
