package decode

import (
	"context"
	"errors"
	"math"
	"time"

	"skerry/appliance/decode/policy"
	"skerry/appliance/decode/speculate"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// This file is the one loop of drafter and verifier: tokens are drafted, a check computes
// the full model's logits after each of them in one pass, and the sampler then decides token
// by token, as it would have without a draft. A drafted token is accepted where it is the
// token that was sampled. What is emitted therefore never depends on the drafts, under any
// sampling: the noise of a position is the same however its logits were come by. Kernels whose
// results depend on the number of rows, as those of newer ARM cores, are the exception: there a
// near-tie may fall the other way.

// drafted is a token that was drafted and is not decided yet.
type drafted struct {
	id     int32
	source infer.Source
	level  int // of certainty, one of speculate.Levels
}

// verifier is what this session has learnt, in the mode, of checks and of the drafts.
func (l *loop) verifier() *speculate.Verifier {
	v := l.verifiers[l.mode.Name]
	if v == nil {
		v = &speculate.Verifier{}
		l.verifiers[l.mode.Name] = v
	}
	if l.draft != nil && l.draft.model.Acceptance > 0 {
		v.Expect(string(infer.FromDraft), l.draft.model.Acceptance)
	}
	v.Always = l.opt.Draft == infer.DraftLookup || l.opt.Draft == infer.DraftModel
	return v
}

// remaining is how many tokens of the answer may still come.
func (l *loop) remaining() int {
	n := l.model.Context - len(l.tokens)
	if most := l.opt.MaxTokens; most > 0 {
		n = min(n, most-len(l.opt.Said)-len(l.result.Tokens))
	}
	return n
}

// draftTokens drafts what may follow the session's tokens, as far as that is predicted to be worth
// a check: none at first, so that no draft delays the first token.
func (l *loop) draftTokens(ctx context.Context) (ds []drafted, err error) {
	l.compared = nil
	most := min(speculate.MostDraft, l.remaining()-1) // a check yields one more than it accepts
	if c, ok := l.cloud.(interface{ Limit() int }); ok && l.mode.Cloud && c.Limit() > 0 {
		most = min(most, c.Limit()-len(l.tokens))
	}
	if l.disconnected { // a plain ask tells as well whether the cloud is back
		most = 0
	}
	v := l.verifier()
	if l.opt.Draft == infer.DraftOff || l.result.FirstToken == 0 || most <= 0 || l.noDrafts() || v.Plain() {
		l.ahead = nil
		return nil, nil
	}
	rate := 0.
	if l.opt.Draft != infer.DraftModel && len(l.ahead) == 0 {
		found := l.lookUpDraft(most)
		var n int
		if n, rate = v.Free(string(infer.FromLookup), levels(found)); n == 0 && len(found) > 0 {
			l.compared, rate = &found[0], 0
		}
		ds = found[:n]
	}
	if l.opt.Draft == infer.DraftLookup {
		return l.used(ds), nil
	}
	modelled, err := l.draftByTokens(ctx, v, rate, most)
	if err != nil || len(modelled) > 0 {
		return modelled, err
	}
	return l.used(ds), nil
}

// used notes that prompt lookup's draft is checked.
func (l *loop) used(ds []drafted) []drafted {
	if len(ds) > 0 {
		l.verifier().Drafted(string(infer.FromLookup), 0)
	}
	return ds
}

// noDrafts reports whether the full model cannot check any.
func (l *loop) noDrafts() bool {
	if l.draftsFailed || l.oneRow {
		return true
	}
	_, several := l.cloud.(RowsAsker)
	return l.mode.Cloud && !several
}

func levels(ds []drafted) (out []int) {
	for _, d := range ds {
		out = append(out, d.level)
	}
	return out
}

// lookUpDraft is prompt lookup's draft, as far as a grammar allows it.
func (l *loop) lookUpDraft(most int) []drafted {
	ds := lookUpRun(l.tokens, most)
	for i, d := range ds {
		if l.model.Vocab.End(d.id) && !l.opt.IgnoreEnd {
			ds = ds[:i+1]
			break
		}
	}
	if l.opt.Sampling.Grammar == "" {
		return ds
	}
	defer l.takeBack(l.sampler.Len())
	for i, d := range ds {
		if !l.sampler.Possible(d.id, len(l.tokens)+i) || l.sampler.Accept(d.id) != nil {
			return ds[:i]
		}
	}
	return ds
}

// takeBack has the sampler forget what it was told of drafted tokens.
func (l *loop) takeBack(n int) {
	if l.sampler.Len() > n {
		l.sampler.Truncate(n)
	}
}

// costlyDrafters are those that are asked token by token, the deepest last: the draft model,
// or in a mode whose stages have them the exits.
func (l *loop) costlyDrafters() []drafter {
	switch {
	case l.draft != nil:
		return []drafter{l.draft}
	case l.mode.Stages == ExitStages:
		return l.exits()
	}
	return nil
}

// exitsDraft is what the exits together are called as a drafter.
const exitsDraft = "exits"

// drafterOf is what the drafter of a source is called.
func drafterOf(s infer.Source) string {
	if s == infer.Exit1 || s == infer.Exit2 {
		return exitsDraft
	}
	return string(s)
}

// draftByTokens drafts with a costly drafter while that promises more than the rate, in
// tokens a second, on from what was drafted before. A draft model that fails is given up.
func (l *loop) draftByTokens(ctx context.Context, v *speculate.Verifier, rate float64, most int) (ds []drafted, err error) {
	drafters := l.costlyDrafters()
	if len(drafters) == 0 {
		return nil, nil
	}
	d, known, err := l.draftFacts(v, drafters, rate)
	if err != nil || !known {
		return nil, err
	}
	ds = l.ahead[:min(len(l.ahead), most)]
	l.ahead = nil
	if len(ds) == 0 && !v.Worth(d) {
		return nil, nil
	}
	start := time.Now()
	defer func() { v.Drafted(d.Drafter, since(start)) }()
	history := l.opt.Sampling.LooksBack()
	defer l.takeBack(l.sampler.Len())
	for len(ds) < most && v.More(d, levels(ds)) && !l.draftEnds(ds) {
		next, err := l.draftNext(ctx, drafters, appendDrafted(l.tokens, ds))
		switch {
		case errors.Is(err, errDraftModel) && ctx.Err() == nil:
			return nil, l.giveUpDraft(err)
		case errors.Is(err, infer.ErrNoCandidate):
			return ds, nil
		case err != nil:
			return nil, err
		}
		ds = append(ds, next)
		if history && l.sampler.Accept(next.id) != nil {
			break
		}
	}
	if n := v.Keep(d, levels(ds)); n < len(ds) {
		if n == 0 {
			l.compared = &ds[0]
		}
		ds = ds[:n]
	}
	return ds, nil
}

// draftFacts are what a costly drafter takes; false while that is not known.
func (l *loop) draftFacts(v *speculate.Verifier, drafters []drafter, rate float64) (d speculate.Draft, known bool, err error) {
	deepest := drafters[len(drafters)-1]
	d = speculate.Draft{Drafter: drafterOf(deepest.source()), Left: l.remaining(), Rate: rate}
	d.Token, known = l.draftTime()
	if share := l.costShare(); !known && share > 0 && !v.Always {
		d.Token = share * v.Cost(1)
		d.Backlog = usualFurther * d.Token * float64(deepest.backlog())
		return d, true, nil
	}
	if !known && l.draft != nil && !v.Always {
		start := time.Now()
		if err := l.draft.catchUp(idleRows); err != nil { // to learn what it costs
			return d, false, l.giveUpDraft(err)
		}
		v.Drafted(d.Drafter, since(start))
		if d.Token, known = l.draftTime(); !known {
			return d, false, nil
		}
	}
	if n := deepest.backlog(); n > 0 {
		lacking, _, _ := deepest.backlogCost(n)
		if l.draft != nil { // it computes them together with the token that it goes on from
			both, _, _ := deepest.backlogCost(n + 1)
			one, _, _ := deepest.backlogCost(1)
			lacking = both - one
		}
		d.Backlog = lacking.Seconds()
	}
	return d, known || v.Always || l.draft == nil, nil
}

// usualFurther is what each further position of a long batch costs of a first one, as long as none was
// measured.
const usualFurther = 0.2

// costShare is what a drafted token takes of a pass of the full model as the bundle has it, where
// both are on this machine; 0 where that is not known.
func (l *loop) costShare() float64 {
	if l.draft == nil || l.mode.Stages != WholeModel && !l.opt.NoDraftAhead {
		return 0
	}
	return l.draft.model.Cost
}

// hopes reports whether the last draft is to follow the text while nothing else is to be done
// here: it would pay if it lacked nothing, or it is not known yet whether it would.
func (l *loop) hopes() bool {
	drafters := l.costlyDrafters()
	if l.opt.Draft == infer.DraftOff || l.opt.Draft == infer.DraftLookup || l.noDrafts() || len(drafters) == 0 {
		return false
	}
	v := l.verifier()
	token, known := l.draftTime()
	if v.Always || !known || v.Cost(1) == 0 {
		return true
	}
	_, pays := v.Pays(speculate.Draft{Drafter: drafterOf(drafters[len(drafters)-1].source()), Token: token})
	return pays
}

// follow has the last draft compute some of what it lacks while an answer of the cloud is awaited
// that is expected to take so many seconds more, 0 where that is not known. A draft that is of
// no use in checks follows only where it is to speak once the cloud is lost, and then several
// positions at a time, which costs less than one by one. It returns false where there is
// nothing to do.
func (l *loop) follow(hopes bool, left float64) (bool, error) {
	n := l.backlog()
	if n == 0 || l.opt.NoDraftAhead || n < idleRows && left == 0 || !hopes && (n < idleRows || l.opt.OnLoss != infer.GoAlone || l.standIn() != draftStandsIn) {
		return false, nil
	}
	rows := min(n, idleRows)
	l.disturbed = l.disturbed || left == 0
	for left != 0 {
		if took, _, known := l.lastDraft().backlogCost(rows); !known || took.Seconds() <= left {
			break
		}
		if rows /= 2; rows == 0 {
			return false, nil
		}
	}
	err := l.lastDraft().catchUp(rows)
	if errors.Is(err, errDraftModel) {
		err = l.giveUpDraft(err)
	}
	return true, err
}

// draftEnds reports whether the draft ends the answer.
func (l *loop) draftEnds(ds []drafted) bool {
	return len(ds) > 0 && l.model.Vocab.End(ds[len(ds)-1].id) && !l.opt.IgnoreEnd
}

// draftTime is what a further drafted token takes, in seconds; false while that is not known.
func (l *loop) draftTime() (float64, bool) {
	if t, _, known := l.draftToken.Cost(1); known {
		return t.Seconds(), true
	}
	if l.draft == nil {
		return 0, false
	}
	t, _, known := l.draft.proposalCost()
	return t.Seconds(), known
}

// draftNext drafts the token after a text: that of the first drafter that is believed, or of
// the deepest. It is sampled as the full model's will be, with the same noise, since that is
// what it is compared with.
func (l *loop) draftNext(ctx context.Context, drafters []drafter, text []int32) (drafted, error) {
	single, start := deepestLacks(drafters) <= 0, time.Now()
	if l.draft == nil { // exits need the hidden states
		if err := l.advanceHeadOver(ctx, text); err != nil {
			return drafted{}, err
		}
	}
	for i, d := range drafters {
		last := i == len(drafters)-1
		if !last && !l.policy.Reachable(d.rule()) {
			continue
		}
		p, err := d.propose(ctx, text)
		if err != nil {
			return drafted{}, err
		}
		if !last && !l.policy.Believes(d.rule(), policy.Output{Confidence: p.stats.Confidence, Margin: p.stats.Margin}) {
			continue
		}
		id, err := l.sampler.Sample(p.ids, p.logits, len(text))
		if err != nil {
			return drafted{}, err
		}
		if single {
			l.draftToken.Observe(1, time.Since(start))
		}
		return drafted{id, d.source(), speculate.LevelOf(p.stats.Confidence)}, nil
	}
	return drafted{}, nil
}

// deepestLacks is how many positions the deepest of the drafters has to compute beside its
// next proposal.
func deepestLacks(drafters []drafter) int { return drafters[len(drafters)-1].backlog() }

// decide samples the tokens that a check has rows for, emits them, and returns how many of
// the drafted ones were accepted. rows are those after the last token and after each drafted
// one, as far as they were computed; full is who computed them.
func (l *loop) decide(ds []drafted, rows []Row, full infer.Token) (accepted int, err error) {
	v, before := l.verifier(), len(l.tokens)
	defer func() {
		l.result.Checks++
		v.Decided(len(l.tokens) - before)
		for i, d := range ds {
			a := l.result.Proposed[d.source]
			a.Checked++
			if i < accepted {
				a.Agreed++
			}
			l.result.Proposed[d.source] = a
		}
	}()
	for i, row := range rows {
		if l.short(row) { // it is asked for again, whole
			return accepted, nil
		}
		t, err := l.choose(row.IDs, row.Logits, row.stats(), full.Source)
		if err != nil {
			return accepted, err
		}
		t.Verified, t.Why = true, full.Why
		if i == 0 {
			t.WaitMS = full.WaitMS
			if c := l.compared; c != nil {
				v.Checked(drafterOf(c.source), c.level, c.id == t.ID)
			}
		}
		right := i < len(ds) && ds[i].id == t.ID
		if i < len(ds) {
			v.Checked(drafterOf(ds[i].source), ds[i].level, right)
		}
		if right {
			t.Source = ds[i].source
			accepted++
		}
		if err := l.emitToken(t); err != nil || !right || l.result.Finish != "" {
			return accepted, err
		}
	}
	return accepted, nil
}

// stats describes a row; of the best of one the probabilities are of the whole.
func (r Row) stats() engine.Stats {
	d := engine.Describe(r.Logits)
	if r.IDs != nil {
		d.Confidence *= math.Exp(d.LogSumExp - r.LogSumExp)
		d.LogSumExp = r.LogSumExp
	}
	return d
}

// since is the time from start in seconds.
func since(start time.Time) float64 { return time.Since(start).Seconds() }
