package decode

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"skerry/appliance/engine"
)

// loop is a session at work on one answer.
type loop struct {
	*Session
	opt     Options
	sampler *engine.Sampler
	outlook Outlook // nil where the cloud has none
	late    lateAsks
	answer  Answer
	text    textJoiner
	emit    func(Token)

	began   time.Time // of the answer
	clock   time.Time // when the time of the next token began
	prompt  bool      // the next token is the first after a prompt
	deepest speech    // the deepest exit's word on the last position, where computed
	change  *Change   // of mode, for the next token to carry

	early  earlyAsk
	resent int                         // tokens there were when Naive last sent everything again
	next   func() (Token, error, bool) // CloudOnly: the cloud's stream, nil before it began
	stop   func()                      // ends it
}

// errLost ends an answer whose OnLoss is Stop.
var errLost = errors.New("the cloud was lost")

// Generate answers a prompt, calling emit (which may be nil) with each token as
// it is decided. A prompt that begins with the session's own tokens costs only
// the rest. It returns the answer so far together with any error; a cancelled
// ctx is no error.
func (s *Session) Generate(ctx context.Context, prompt []int32, o Options, emit func(Token)) (Answer, error) {
	l := &loop{Session: s, opt: o, emit: emit, began: time.Now(), answer: Answer{PromptTokens: len(prompt)}}
	step, err := s.prepare(prompt, o)
	if err != nil {
		return l.answer, err
	}
	if l.sampler, err = s.newSampler(prompt, o); err != nil {
		return l.answer, err
	}
	defer l.sampler.Close()
	known := slices.Concat(prompt, o.Said)
	kept, err := s.setPrompt(known, o.Mode == Unsplit)
	if err != nil {
		return l.answer, err
	}
	for _, id := range o.Said {
		l.text.push(l.model.Vocab.Piece(id, false))
	}
	l.answer.Prefilled = len(known) - kept
	l.outlook, _ = s.cloud.(Outlook)
	l.late.open(ctx)
	asks, caught := s.asks, s.caughtUp()
	for err == nil && l.answer.Finish == "" {
		l.clock = time.Now()
		var tokens []Token
		tokens, err = step(l, ctx)
		err = errors.Join(l.sayAll(tokens), err)
		if full := new(engine.ContextFullError); errors.As(err, &full) && l.answer.FirstToken > 0 {
			err, l.answer.Finish = nil, FinishLength // a stage has a smaller context than the model
		}
	}
	if l.stop != nil {
		l.stop()
	}
	l.settle(l.late.close())
	l.finish(err)
	l.answer.Asks, l.answer.CaughtUp, l.answer.Agreement = s.asks-asks, s.caughtUp()-caught, maps.Clone(s.agreed)
	if ctx.Err() != nil {
		err = nil
	}
	return l.answer, err
}

// newSampler returns a sampler that has seen what its penalties look at. A
// grammar begins with the answer, and so has seen nothing.
func (s *Session) newSampler(prompt []int32, o Options) (*engine.Sampler, error) {
	sampler, err := engine.NewSampler(s.model.Vocab, o.Sampling)
	if err != nil {
		return nil, err
	}
	seen := o.Said
	if o.Sampling.Grammar == "" {
		seen = slices.Concat(prompt, o.Said)
	}
	for _, id := range seen {
		if err := sampler.Accept(id); err != nil {
			sampler.Close()
			return nil, err
		}
	}
	return sampler, nil
}

func (l *loop) sayAll(tokens []Token) error {
	for _, t := range tokens {
		if err := l.say(t); err != nil || l.answer.Finish != "" {
			return err
		}
	}
	return nil
}

// say records a token, emits it and notes whether it is the last.
func (l *loop) say(t Token) error {
	a := &l.answer
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
		a.Finish = FinishLength
		if end {
			a.Finish = FinishStop
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
	if err != nil && l.answer.Finish == "" {
		l.answer.Finish = FinishCancel
		if errors.Is(err, errLost) {
			l.answer.Finish = FinishLost
		}
	}
	l.answer.Total = time.Since(l.began)
	if l.answer.Lost == nil {
		l.answer.Lost = l.lost
	}
}
