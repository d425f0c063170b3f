// Package lead has a cloud partition go on with answers by itself. It is the token loop of
// a board in mode verified, with the whole model as its cloud in the same process: drafts by
// prompt lookup and by the bundle's draft model, checks of as many tokens as are worth it, and the
// one sampler. What it says is what the board would have said.
package lead

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/cloudlink/partition"
)

// Options of a Leader.
type Options struct {
	// Vocab is that of the whole model; it stays open.
	Vocab *engine.Vocab
	// Draft proposes tokens, nil for prompt lookup alone. Its stage has Sequences sequences,
	// one for each session that is led, and is used by nobody else. A session that finds none
	// free is led without.
	Draft     *decode.DraftModel
	Sequences int
	// Turn is held while the draft model computes; the whole model's passes should hold it as
	// well, since two that compute at once starve one another on few cores. nil for none.
	Turn sync.Locker
	// Count is told of every pass of the draft model; nil for nobody.
	Count func(rows int, start time.Time)
}

// Leader is a partition.Leader.
type Leader struct {
	opt    Options
	learnt decode.Learnt // by all sessions

	mu   sync.Mutex // guards free
	free []int      // sequences of the draft model that nobody has
}

var _ partition.Leader = (*Leader)(nil)

// New returns a leader.
func New(o Options) *Leader {
	l := &Leader{opt: o}
	if o.Draft != nil {
		d := *o.Draft
		d.Stage = &turns{Stage: d.Stage, opt: &l.opt}
		l.opt.Draft = &d
		for i := range o.Sequences {
			l.free = append(l.free, i)
		}
	}
	return l
}

// turns has the sessions' draft passes take turns.
type turns struct {
	decode.Stage
	opt *Options
	mu  sync.Mutex
}

func (t *turns) Forward(b engine.Batch) (engine.Output, error) {
	defer t.lock()()
	if t.opt.Count != nil {
		defer t.opt.Count(len(b.Pos), time.Now())
	}
	return t.Stage.Forward(b)
}

func (t *turns) Truncate(seq, pos int) error {
	defer t.lock()()
	return t.Stage.Truncate(seq, pos)
}

func (t *turns) lock() (unlock func()) {
	t.mu.Lock()
	if t.opt.Turn == nil {
		return t.mu.Unlock
	}
	t.opt.Turn.Lock()
	return func() {
		t.opt.Turn.Unlock()
		t.mu.Unlock()
	}
}

// Session returns what leads one session's answers.
func (l *Leader) Session() partition.SessionLeader { return &session{leader: l, seq: -1} }

// session leads the answers of one session. What its draft model has computed of the conversation
// serves the next answer.
type session struct {
	leader *Leader
	seq    int // of the draft model, -1: none
	loop   *decode.Session
	model  model
	limit  int
}

// take gives the session its place in the draft model, and its token loop.
func (s *session) take(limit int) {
	if s.loop != nil && s.limit == limit {
		return
	}
	l := s.leader
	if s.seq < 0 && l.opt.Draft != nil {
		l.mu.Lock()
		if len(l.free) > 0 {
			s.seq, l.free = l.free[0], l.free[1:]
		}
		l.mu.Unlock()
	}
	m := decode.Model{Exits: []decode.Exit{{Stage: decode.NewTokenStage()}}, Vocab: l.opt.Vocab, Context: limit, Learnt: &l.learnt}
	if s.seq >= 0 {
		m.Draft = l.opt.Draft
	}
	s.limit, s.loop = limit, decode.NewSession(m, max(s.seq, 0), &s.model)
}

// Close gives the place in the draft model back.
func (s *session) Close() {
	if s.seq < 0 {
		return
	}
	if s.leader.opt.Draft.Stage.Truncate(s.seq, 0) != nil {
		return // it is of no more use
	}
	s.leader.mu.Lock()
	defer s.leader.mu.Unlock()
	s.leader.free = append(s.leader.free, s.seq)
	s.seq, s.loop = -1, nil
}

// Lead goes on with an answer.
func (s *session) Lead(ctx context.Context, text []int32, o partition.LeadOptions, full *partition.LedContext, say func(partition.LedTokens) error) (partition.LeadEnd, error) {
	opt, err := options(text, o)
	if err != nil {
		return 0, err
	}
	s.take(full.Limit())
	s.model.begin(full)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var t partition.LedTokens
	opt.Decided = func(made decode.Result) {
		if len(t.IDs) == 0 {
			return
		}
		proposed := decode.Proposals(made.Proposed)
		t.Checks, t.Drafted, t.Accepted = made.Checks-s.model.told.Checks, proposed.Checked-s.model.told.Drafted, proposed.Agreed-s.model.told.Accepted
		s.model.told = partition.LedTokens{Checks: made.Checks, Drafted: proposed.Checked, Accepted: proposed.Agreed}
		t.Last, t.End = made.Finish != "", endOf(made, o.Max)
		if err := say(t); err != nil {
			s.model.fail(err)
			cancel()
		}
		t = partition.LedTokens{}
	}
	s.loop.RetryDraft()
	made, err := s.loop.Generate(ctx, text[:o.Begin], opt, func(said infer.Token) {
		t.IDs = append(t.IDs, said.ID)
		t.Confidence, t.Margin = append(t.Confidence, float32(said.Confidence)), append(t.Margin, float32(said.Margin))
		t.Logprob = append(t.Logprob, float32(min(said.Logprob, 0)))
	})
	switch {
	case s.model.err != nil:
		return 0, s.model.err
	case err != nil:
		return 0, err
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return endOf(made, o.Max), nil
}

// endOf says why an answer of so many tokens at most has ended.
func endOf(made decode.Result, most int) partition.LeadEnd {
	switch {
	case made.Finish == infer.Stop:
		return partition.LeadStopped
	case len(made.Tokens) < most:
		return partition.LeadContext
	}
	return partition.LeadMax
}

// options are those of the token loop. Settings that this program does not know are an error: what
// would be said without them is another text.
func options(text []int32, o partition.LeadOptions) (decode.Options, error) {
	if o.Begin < 1 || o.Begin > len(text) {
		return decode.Options{}, fmt.Errorf("the answer begins at %d, in a text of %d tokens", o.Begin, len(text))
	}
	said := text[o.Begin:]
	opt := decode.Options{
		Mode: decode.Verified, OnLoss: infer.EndAnswer, IgnoreEnd: o.IgnoreEnd, Draft: infer.Drafting(o.Draft),
		Said: said, MaxTokens: len(said) + o.Max, Logprobs: true, NoDraftAhead: true,
	}
	d := json.NewDecoder(bytes.NewReader(o.Sampler))
	d.DisallowUnknownFields()
	if err := d.Decode(&opt.Sampling); err != nil && !errors.Is(err, io.EOF) {
		return opt, fmt.Errorf("the sampler's settings: %w", err)
	}
	return opt, opt.Check()
}

// model is the whole model as the token loop asks it. What fails fails the answer.
type model struct {
	full *partition.LedContext
	err  error
	told partition.LedTokens // so far, of checks and drafts
}

var (
	_ decode.Cloud     = (*model)(nil)
	_ decode.RowsAsker = (*model)(nil)
)

func (m *model) begin(full *partition.LedContext) { *m = model{full: full} }

func (m *model) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// Limit is how many positions the session may hold.
func (m *model) Limit() int { return m.full.Limit() }

// Append adds token ids. An error shows with the next ask.
func (m *model) Append(pos int, ids []float32) error {
	if err := m.full.Append(pos, ids); err != nil {
		m.fail(err)
	}
	return nil
}

// Truncate takes positions back. An error shows with the next ask.
func (m *model) Truncate(pos int) error {
	if err := m.full.Truncate(pos); err != nil {
		m.fail(err)
	}
	return nil
}

// Ask asks for one row.
func (m *model) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	rows, err := m.AskRows(ctx, pos, 1, topK)
	if err != nil {
		return decode.Row{}, err
	}
	return rows[0], nil
}

// AskRows asks for several. Its errors end the answer and not the use of the model.
func (m *model) AskRows(ctx context.Context, pos, n, topK int) ([]decode.Row, error) {
	if m.err == nil {
		rows, err := m.full.Ask(ctx, pos, n, topK)
		if err == nil {
			return candidates(rows), nil
		}
		m.fail(err)
	}
	return nil, &decode.TransientError{Err: m.err}
}

// candidates are rows as the token loop samples them.
func candidates(rows []partition.LedRow) []decode.Row {
	out := make([]decode.Row, len(rows))
	for i, r := range rows {
		out[i] = decode.Row{Logits: r.All, LogSumExp: r.LogSumExp}
		for _, c := range r.Best {
			out[i].IDs, out[i].Logits = append(out[i].IDs, c.ID), append(out[i].Logits, c.Logit)
		}
	}
	return out
}
