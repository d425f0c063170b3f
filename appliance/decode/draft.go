package decode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// DraftKind is a way to propose tokens on the board. Each kind is declared in a file of its
// own, draft_NAME.go.
type DraftKind struct {
	Name    string
	Help    string         // a half-sentence on one line
	Sources []infer.Source // that its tokens may have
	// Free is set where a proposal costs nothing and has no logits: such a token can be
	// checked by the full model, but neither sampled nor believed for its confidence.
	Free bool
	// of returns what a session has of the kind, in the order in which it is asked.
	of func(s *Session) []drafter
}

// DraftKinds are all of them, in the order in which they are asked.
var DraftKinds = []DraftKind{lookupKind, modelKind, headsKind}

// DraftSources are the sources of the tokens that drafts propose and that may stand
// without a check by the full model.
func DraftSources() (all []infer.Source) {
	for _, k := range DraftKinds {
		if !k.Free {
			all = append(all, k.Sources...)
		}
	}
	return all
}

// drafter proposes what comes after a text. It keeps what it has computed of it and
// catches up once it is asked, whoever said the tokens since. Its methods belong to the
// goroutine that uses the session.
type drafter interface {
	source() infer.Source
	// rule is how a policy knows it.
	rule() policy.Exit
	// propose is its word on what comes after tokens: those of the session, and behind
	// them perhaps some that were proposed and not decided yet. What it holds beyond or
	// in place of them is forgotten, so that a rejected proposal needs no other rollback.
	// The position is 0 where it has nothing to say.
	propose(ctx context.Context, tokens []int32) (proposal, error)
	// backlog is how many positions it has yet to compute before it can propose, those
	// aside that a proposal computes in any case.
	backlog() int
	// catchUp computes up to so many of them.
	catchUp(rows int) error
	// backlogCost is the expected time of computing so many of them, and proposalCost that
	// of a proposal beside, each with its mean deviation; false while that was not measured.
	backlogCost(rows int) (mean, deviation time.Duration, known bool)
	proposalCost() (mean, deviation time.Duration, known bool)
}

// proposal is the word of an exit or a draft on a position.
type proposal struct {
	pos    int     // 1 and up, the number of tokens before it; 0: none
	ids    []int32 // nil: the vocabulary in order
	logits []float32
	stats  engine.Stats
	// full gives logits of all tokens where these are of a shortlist; nil where there is
	// no more.
	full func() (ids []int32, logits []float32, err error)
}

// best is the likeliest token.
func (p proposal) best() int32 { return best(p.ids, p.logits) }

func best(ids []int32, logits []float32) int32 {
	at := engine.Best(logits)
	if ids != nil {
		return ids[at]
	}
	return int32(at)
}

// openDrafts puts together what the session may ask on the board.
func (s *Session) openDrafts() {
	s.drafts, s.free = nil, nil
	for _, k := range DraftKinds {
		if k.Free {
			s.free = append(s.free, k.of(s)...)
		} else {
			s.drafts = append(s.drafts, k.of(s)...)
		}
	}
}

// lastDraft is the one that is asked last, and sampled where nobody is sure.
func (l *loop) lastDraft() drafter {
	all := l.asked()
	return all[len(all)-1]
}

// backlog is how many positions it has yet to compute, 0 where there is none.
func (l *loop) backlog() int {
	if len(l.asked()) == 0 {
		return 0
	}
	return l.lastDraft().backlog()
}

// asked are the drafts of the mode, in the order in which they are asked.
func (l *loop) asked() []drafter {
	if l.mode.Drafts || l.draft == nil {
		return l.drafts
	}
	return l.exits()
}

// propose asks the drafts in turn and samples the first that is believed. With last, the
// last is sampled in any case; the token's Why then stays empty. A draft model that fails
// is given up, and the error then is errNoDraft: the step begins anew.
func (l *loop) propose(ctx context.Context, last bool) (t infer.Token, sure bool, err error) {
	all := l.asked()
	for i, d := range all {
		final := last && i == len(all)-1
		rule := d.rule()
		if !final && !l.policy.Reachable(rule) {
			continue
		}
		if i > 0 && !last {
			l.askEarly()
		}
		p, err := l.word(ctx, d)
		if errors.Is(err, errDraftModel) && ctx.Err() == nil {
			if err := l.giveUpDraft(err); err != nil {
				return t, false, err
			}
			return t, false, errNoDraft
		}
		if err != nil {
			return t, false, err
		}
		sure = l.policy.Believes(rule, policy.Output{Confidence: p.stats.Confidence, Margin: p.stats.Margin}) && l.allows(p)
		if !sure && !final {
			continue
		}
		t, err = l.sampleProposal(p, d.source())
		if sure {
			t.Why = infer.WhyConfident
			l.cancelEarly()
		}
		return t, sure, err
	}
	return t, false, nil
}

// word is a draft's proposal after the session's tokens. That of the last draft is kept: it
// may be wanted again, when the cloud does not answer.
func (l *loop) word(ctx context.Context, d drafter) (proposal, error) {
	last := d == l.lastDraft()
	if last && l.deepest.pos == len(l.tokens) {
		return l.deepest, nil
	}
	p, err := d.propose(ctx, l.tokens)
	if err == nil && last {
		l.deepest = p
	}
	return p, err
}

// lastWord is the proposal of the last draft. A draft model that fails is given up, and the
// exits speak in its place; without any the error is errNoDraft.
func (l *loop) lastWord(ctx context.Context) (proposal, error) {
	p, err := l.word(ctx, l.lastDraft())
	if err == nil || !errors.Is(err, errDraftModel) || ctx.Err() != nil {
		return p, err
	}
	if err := l.giveUpDraft(err); err != nil {
		return p, err
	}
	if len(l.asked()) == 0 {
		return p, errNoDraft
	}
	if err := l.advanceHead(ctx); err != nil {
		return p, err
	}
	return l.word(ctx, l.lastDraft())
}

// sampleLast is the token of the last draft, unsure as it is.
func (l *loop) sampleLast(ctx context.Context, why infer.Reason) (infer.Token, error) {
	p, err := l.lastWord(ctx)
	if err != nil {
		return infer.Token{}, err
	}
	t, err := l.sampleProposal(p, infer.Fallback)
	t.Why = why
	return t, err
}

// sampleProposal is the token of a proposal. Where the grammar allows none of a shortlist,
// the whole vocabulary is sampled.
func (l *loop) sampleProposal(p proposal, source infer.Source) (infer.Token, error) {
	t, err := l.choose(p.ids, p.logits, p.stats, source)
	if p.full == nil || !errors.Is(err, infer.ErrNoCandidate) {
		return t, err
	}
	ids, row, err := p.full()
	if err != nil {
		return t, err
	}
	return l.choose(ids, row, engine.Describe(row), source)
}

// draftInStep reports whether the draft model is so near to the last token that it is asked
// before the cloud is: a long prompt goes to the cloud first, and the draft catches up
// while the loop waits for answers.
func (l *loop) draftInStep() bool {
	return l.mode.Drafts && l.draft != nil && l.draft.backlog() <= prefillRows
}

// mostHeadBacklog is how many positions the head stage may lag behind a draft model that is
// believed: as one batch they cost less than one by one, but an ask waits for all of them.
const mostHeadBacklog = 8

// boundHeadBacklog has the head stage catch up before the cloud would have to wait for it.
func (l *loop) boundHeadBacklog(ctx context.Context) error {
	if l.draft == nil || l.cloudErr != nil || len(l.tokens)-l.head < mostHeadBacklog {
		return nil
	}
	return l.advanceHead(ctx)
}

// errNoDraft is of a step whose draft model was given up: it has to be decided again who
// speaks, as exits may have to be silent where a draft model may not.
var errNoDraft = errors.New("the draft model was given up within a step")

// giveUpDraft has the session go on without its draft model, where something else on this
// board is left.
func (l *loop) giveUpDraft(why error) error {
	if len(l.heads) == 0 && l.mode.Stages != WholeModel && !l.cloudSays() {
		return fmt.Errorf("%w: set mode to auto, or split the model again without --draft", why)
	}
	l.result.Draft, l.noDraft = why, why
	l.draft.truncate(0) // to free its part of the KV cache; nobody asks it again
	l.draft, l.deepest = nil, proposal{}
	l.openDrafts()
	return nil
}

// cloudSays reports whether it is the cloud that says every token, as long as it can be asked.
func (l *loop) cloudSays() bool { return l.mode.Speculates && l.mode.Cloud && l.cloudErr == nil }

// NoDraft is why the session goes on without its draft model, nil where it does not.
func (s *Session) NoDraft() error { return s.noDraft }

// RetryDraft has the session, which must be idle, ask a draft model again that it has given
// up: the text that begins is another.
func (s *Session) RetryDraft() {
	if s.noDraft == nil || s.model.Draft.Stage.Truncate(s.seq, 0) != nil {
		return
	}
	s.draft, s.noDraft = &modelDraft{Session: s, model: s.model.Draft}, nil
	delete(s.proposed, infer.FromDraft) // it is judged anew
	s.openDrafts()
}

// Proposals are those of all drafts together.
func Proposals(by map[infer.Source]infer.Agreement) (all infer.Agreement) {
	for _, a := range by {
		all.Checked += a.Checked
		all.Agreed += a.Agreed
	}
	return all
}

// countProposal counts a proposal that the cloud was asked about.
func (l *loop) countProposal(of infer.Source, agreed bool) infer.Agreement {
	a := l.proposed[of]
	a.Checked++
	if agreed {
		a.Agreed++
	}
	l.proposed[of] = a
	r := l.result.Proposed[of]
	r.Checked++
	if agreed {
		r.Agreed++
	}
	l.result.Proposed[of] = r
	return a
}

// Of the cloud's answers where the draft was unsure, a draft that is of any use has said at
// least one in sixteen: of these, the first so many are awaited before it is judged.
const (
	draftTrial    = 32
	leastAccepted = 1. / 16
)

// errUseless is of a draft model that is given up for what it proposes.
var errUseless = errors.New("it proposes nothing that the full model says")

// checkDraft compares what was proposed for the next position with what the full model has
// there.
func (l *loop) checkDraft(row Row) error {
	if !l.mode.Drafts {
		return nil
	}
	says := best(row.IDs, row.Logits)
	for _, d := range l.free {
		if p, err := d.propose(l.late.ctx, l.tokens); err == nil && p.pos > 0 {
			l.countProposal(d.source(), p.best() == says)
		}
	}
	if l.draft == nil || l.deepest.pos != len(l.tokens) {
		return nil
	}
	if c := l.countProposal(infer.FromDraft, l.deepest.best() == says); c.Checked >= draftTrial && len(l.heads) > 0 && float64(c.Agreed) < leastAccepted*float64(c.Checked) {
		return l.giveUpDraft(fmt.Errorf("%w: %w: %d of %d tokens", errDraftModel, errUseless, c.Agreed, c.Checked))
	}
	return nil
}

// draftCost is the time the last draft needs for a token from here, backlog included, with
// two mean deviations on top; false while that was not measured.
func (l *loop) draftCost() (time.Duration, bool) {
	if l.deepest.pos == len(l.tokens) {
		return 0, true
	}
	if len(l.asked()) == 0 {
		return 0, false
	}
	d := l.lastDraft()
	need, dev, known := d.proposalCost()
	need += 2 * dev
	if n := d.backlog(); n > 0 {
		rows, dev, measured := d.backlogCost(n)
		need, known = need+rows+2*dev, known && measured
	}
	return need, known
}

// allows says that a proposal's confidence is in a token the grammar allows: in another it
// is no reason to believe it.
func (l *loop) allows(p proposal) bool { return l.sampler.Allows(p.best(), p.pos) }
