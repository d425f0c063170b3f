package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/decode/speculate"
	"skerry/appliance/infer"
)

// Verified says nothing but what the full model says: the board drafts, the cloud checks all
// that was drafted in one pass, and the first token that is another than the draft's is
// emitted in its place. The text is that of Unsplit.
const Verified infer.Mode = "verified"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Verified, Help: "drafts on the board and has the cloud check every token: the text of the whole model", Cloud: true, Served: true,
		Sources: append([]infer.Source{infer.FromLookup}, append(DraftSources(), infer.FromCloud, infer.FromUnsplit, infer.Fallback)...),
	},
	Stages:     ExitStages,
	Exits:      true,
	Drafts:     true,
	Speculates: true,
	StandsIn:   true,
	step:       (*loop).verified,
})

// RowsAsker is a Cloud that answers for several positions at once, for Verified. Without
// it nothing is drafted: every token costs an ask.
type RowsAsker interface {
	// AskRows has the tail stage catch up to pos and returns the topK best logits after each
	// of the n positions pos-n+1 to pos, in that order; with topK 0 all of them. Its errors
	// are those of Ask, and ErrOneRow.
	AskRows(ctx context.Context, pos, n, topK int) ([]Row, error)
}

// ErrOneRow is wrapped by the error of an AskRows whose cloud answers one row at a time: it is
// asked for single ones from then on.
var ErrOneRow = errors.New("the cloud answers for one position at a time")

// verified decides the tokens of one check.
func (l *loop) verified(ctx context.Context) ([]infer.Token, error) {
	why, stand := l.cloudUnavailable(), l.standIn()
	switch {
	case l.cloudErr != nil && l.opt.OnLoss != infer.GoAlone:
		return nil, fmt.Errorf("%w: %w", errLost, l.cloudErr)
	case l.cloudErr != nil && stand == nobody:
		return nil, l.errNobodyLeft()
	case why != infer.Asked:
		l.stopLed()
		return l.unverified(ctx, why)
	case l.opt.BoardLeads != nil && stand == wholeStandsIn && l.opt.BoardLeads():
		l.stopLed()
		return l.wholeLeads(ctx)
	case l.cloudLeads():
		if led, err := l.nextLed(ctx); led || err != nil {
			return nil, err
		}
		return l.verified(ctx)
	case l.stream != nil:
		l.stopLed()
		l.markChange(Verified, "drafts of this board are expected to be faster")
	}
	valid := len(l.tokens)
	ds, err := l.draftTokens(ctx)
	if err != nil {
		return nil, errors.Join(err, l.rollBack(valid))
	}
	start := time.Now()
	if err := l.advanceHeadOver(ctx, appendDrafted(l.tokens, ds)); err != nil {
		return nil, errors.Join(err, l.rollBack(valid))
	}
	rows, why, err := l.askForRows(ctx, ds, start)
	if err != nil || why != infer.Asked {
		if err = errors.Join(err, l.rollBack(valid)); err != nil {
			return nil, err
		}
		return l.unverified(ctx, why)
	}
	l.backToCloud(Verified)
	accepted, err := l.decide(ds, rows, infer.Token{Source: infer.FromCloud, WaitMS: milliseconds(time.Since(start))})
	whole := accepted == len(ds) && len(l.tokens) > valid+accepted
	l.ahead = following(l.ahead, whole, l.tokens)
	return nil, errors.Join(err, l.rollBack(valid+accepted))
}

// wholeLeads is the token of the whole model on this board, which is expected to be faster than
// the cloud. Its hidden states go up all the same: the cloud may be the faster one again.
func (l *loop) wholeLeads(ctx context.Context) ([]infer.Token, error) {
	l.ahead = nil
	if err := l.advanceHead(ctx); err != nil {
		return nil, err
	}
	l.led = true
	t, err := l.sampleWhole(ctx, infer.WhyTooSlow)
	if errors.Is(err, ErrNoTail) { // it turns out not to be had: the cloud is asked
		l.tail.stage, l.led = nil, false
		return l.verified(ctx)
	}
	return single(t, err)
}

// unverified is the token of whoever stands in for the cloud.
func (l *loop) unverified(ctx context.Context, why infer.Reason) ([]infer.Token, error) {
	l.ahead, l.led = nil, false
	if l.draft == nil {
		if err := l.advanceHead(ctx); err != nil {
			return nil, err
		}
	}
	t, err := l.sampleStandIn(ctx, why)
	if errors.Is(err, errNoDraft) { // nobody stands in any more: the cloud is waited for
		return l.verified(ctx)
	}
	return single(t, err)
}

// rollBack forgets what was computed of positions from pos on, here and in the cloud. Where
// the last token's hidden state was among what was computed it is computed again, as it may
// be the stand-in's turn.
func (l *loop) rollBack(pos int) error {
	if l.head <= pos {
		return nil
	}
	if pos == len(l.tokens) { // nothing of a draft was decided
		pos--
	}
	return l.truncateStages(pos)
}

// appendDrafted is the text with the drafted tokens behind it.
func appendDrafted(tokens []int32, ds []drafted) []int32 {
	text := slices.Clip(tokens)
	for _, d := range ds {
		text = append(text, d.id)
	}
	return text
}

// following is what was drafted while a check was under way, as far as it follows what was
// decided: all of the check's draft and one token more, which was foreseen too.
func following(ahead []drafted, whole bool, tokens []int32) []drafted {
	if !whole || len(ahead) == 0 || ahead[0].id != tokens[len(tokens)-1] {
		return nil
	}
	return ahead[1:]
}

// askForRows asks for the logits after the last token and after each drafted one, again where
// the policy is to wait for the cloud. start is when the check began. An error ends the
// answer.
func (l *loop) askForRows(ctx context.Context, ds []drafted, start time.Time) (rows []Row, why infer.Reason, err error) {
	l.disturbed = false
	rows, why, err = l.askOnce(ctx, ds)
	if err == nil && why == infer.Asked && !l.disturbed && l.result.FirstToken > 0 { // the first waits for the prompt
		l.verifier().Took(len(rows), since(start))
	}
	for pause := firstPause; err == nil && l.pauseBeforeRetry(ctx, why, pause); pause = min(2*pause, longestPause) {
		rows, why, err = l.askOnce(ctx, ds)
	}
	if err == nil && why != infer.Asked {
		err = ctx.Err()
	}
	return rows, why, err
}

// askOnce is one ask.
func (l *loop) askOnce(ctx context.Context, ds []drafted) ([]Row, infer.Reason, error) {
	if l.cloudErr != nil {
		return nil, infer.WhyLost, l.endIfLost(l.cloudErr)
	}
	if l.oneRow { // and nothing of a draft was computed, or it was rolled back
		ds = nil
	}
	n := len(ds) + 1
	l.ahead = nil
	r, err := l.waitForRows(ctx, l.late.askRows(l.cloud, len(l.tokens)-1+len(ds), n, l.topK()), ds)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, "", err
	}
	if r.err == nil {
		r.err = checkRows(r.rows, n)
	}
	switch {
	case r.err == nil:
		l.asks++
		l.markBack()
		return r.rows, infer.Asked, nil
	case errors.Is(r.err, ErrOneRow): // it has computed nothing
		l.oneRow = true
		if err := l.rollBack(len(l.tokens)); err != nil {
			return nil, "", err
		}
		if err := l.advanceHead(ctx); err != nil {
			return nil, "", err
		}
		return l.askOnce(ctx, nil)
	}
	why := l.classify(r.err)
	if why != infer.WhyDown { // else it never left
		l.asks++
	}
	return nil, why, l.endIfLost(r.err)
}

// checkRows returns what is wrong with a cloud's rows for n positions.
func checkRows(rows []Row, n int) error {
	if len(rows) != n {
		return fmt.Errorf("the cloud answered with %d rows for %d positions", len(rows), n)
	}
	for i, r := range rows {
		if len(r.Logits) == 0 || r.IDs != nil && len(r.IDs) != len(r.Logits) {
			return fmt.Errorf("the cloud answered with %d logits for %d tokens, in row %d of %d", len(r.Logits), len(r.IDs), i+1, n)
		}
	}
	return nil
}

// endIfLost ends an answer that is not to go on without the cloud.
func (l *loop) endIfLost(why error) error {
	if l.opt.OnLoss == infer.EndAnswer || l.opt.OnLoss == infer.AwaitCloud && l.cloudErr != nil {
		return fmt.Errorf("%w: %w", errLost, why)
	}
	return nil
}

// waitForRows waits for the reply to an ask. Meanwhile the last draft follows the text, and a draft
// model that drafts drafts on behind what is being checked, as if all of it were accepted: it then has
// the next draft ready.
func (l *loop) waitForRows(ctx context.Context, got <-chan reply, ds []drafted) (reply, error) {
	start, text, hopes := time.Now(), appendDrafted(l.tokens, ds), l.hopes()
	for {
		select {
		case r := <-got:
			return r, nil
		default:
		}
		left := 0.
		if takes := l.verifier().Cost(len(ds) + 1); takes > 0 {
			left = takes - since(start)
		}
		if more, err := l.follow(hopes, left); err != nil {
			return reply{}, err
		} else if more {
			continue
		}
		more, err := l.draftOn(ctx, ds, text, since(start))
		if err != nil {
			return reply{}, err
		}
		if !more {
			break
		}
		text = append(text, l.ahead[len(l.ahead)-1].id)
	}
	defer l.reportWaiting()()
	return <-got, nil
}

// draftOn drafts one token behind text, if the check under way, which began so many seconds
// ago, is expected to last that long.
func (l *loop) draftOn(ctx context.Context, ds []drafted, text []int32, waited float64) (bool, error) {
	history := l.opt.Sampling.LooksBack() // of which the sampler does not know this draft's
	if l.opt.NoDraftAhead || len(ds) == 0 || ds[0].source != infer.FromDraft || l.draft == nil || history || len(l.ahead) > speculate.MostDraft ||
		len(text) >= l.model.Context-1 || l.draftEnds(ds) || l.draftEnds(l.ahead) {
		return false, nil
	}
	token, known := l.draftTime()
	if !known || waited+token > l.verifier().Cost(len(ds)+1) {
		return false, nil
	}
	next, err := l.draftNext(ctx, l.costlyDrafters(), text)
	if errors.Is(err, errDraftModel) && ctx.Err() == nil {
		return false, l.giveUpDraft(err)
	}
	if err != nil {
		return false, err
	}
	l.ahead = append(l.ahead, next)
	return true, nil
}
