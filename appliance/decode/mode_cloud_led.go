package decode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/infer"
)

// CloudLed has the cloud go on by itself: it drafts, checks and samples, and streams the tokens that
// are decided. The board's own draft follows a few of them behind, so that a lost link costs a
// small batch and not a prefill. The text is that of Unsplit. It is for a cloud that takes token ids; from any
// other, or one that does not lead, the tokens come as in Verified.
const CloudLed infer.Mode = "cloud-led"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: CloudLed, Help: "has the cloud draft, check and go on by itself, from the text: the text of the whole model", Cloud: true, Served: true,
		Sources: append([]infer.Source{infer.FromLookup}, append(DraftSources(), infer.FromCloud, infer.FromUnsplit, infer.Fallback)...),
	},
	Stages:     ExitStages,
	Exits:      true,
	Drafts:     true,
	Speculates: true,
	StandsIn:   true,
	step:       (*loop).verified,
})

// Leader is a Cloud that may go on with an answer by itself.
type Leader interface {
	// Lead goes on after the session's last position, which is o.Begin or later, and yields the tokens as they are decided,
	// several at once. They are positions of the session from then on. It ends with the answer, with
	// ctx, or once yield returns false; what was not yielded by then is taken back. Its errors are those of Ask, and ErrNoLead.
	Lead(ctx context.Context, o LeadOptions, yield func([]infer.Token, Led) bool) error
}

// LeadOptions are what a Leader has to know of an answer.
type LeadOptions struct {
	Max, Begin int // tokens wanted, and the position of the answer's first
	IgnoreEnd  bool
	Draft      infer.Drafting
	Sampling   infer.Sampling
}

// Led are the passes that decided tokens, and what was drafted for them.
type Led struct{ Checks, Drafted, Accepted int }

// ErrNoLead is wrapped by the error of a Lead whose cloud does not go on by itself, or not with
// this answer: it is asked for rows.
var ErrNoLead = errors.New("the cloud does not lead")

// errWrongToken is of a token that the sampler's settings rule out.
var errWrongToken = errors.New("the cloud said a token that may not stand here")

// led is what a Leader says of an answer.
type led struct {
	got    chan ledTokens // closed at the end
	cancel context.CancelFunc
	more   bool // some that were received are not emitted
}

// ledTokens are tokens that came together, or the error at the end.
type ledTokens struct {
	tokens []infer.Token
	led    Led
	err    error
}

// cloudLeads reports whether the cloud is to go on by itself. While the link is lost a plain
// ask tells whether it is back.
func (l *loop) cloudLeads() bool {
	if l.noLead || l.disconnected || time.Now().Before(l.busyUntil) {
		return false
	}
	if why := l.whyNotLed(); why != "" {
		if l.noLead = true; l.mode.Name == CloudLed {
			l.markChange(Verified, why)
		}
		return false
	}
	if l.opt.CloudLeads == nil {
		return l.mode.Name == CloudLed
	}
	return l.opt.CloudLeads()
}

// whyNotLed says why no cloud can go on with this answer by itself, "" where one may.
func (l *loop) whyNotLed() string {
	switch _, ok := l.cloud.(Leader); {
	case !ok:
		return "this cloud does not go on by itself"
	case l.width() != 1:
		return "hidden states go up, and a cloud goes on by itself from token ids: it takes them from a board that has a draft model, where the policy lets text through"
	case l.opt.TopLogprobs > 0:
		return "the likeliest tokens at each position were asked for"
	}
	return ""
}

// nextLed emits the next tokens of a cloud that leads. It returns false where it turns out not to:
// they are then to be come by in another way.
func (l *loop) nextLed(ctx context.Context) (bool, error) {
	l.ahead = nil
	if err := l.advanceHead(ctx); err != nil {
		return true, err
	}
	if l.cloudErr != nil {
		return false, nil
	}
	if l.stream == nil {
		l.lead(ctx)
	}
	start := time.Now()
	r, err := l.waitForLed(ctx)
	if err != nil {
		l.stream.more = l.stream.more || len(r.tokens) > 0
		return true, err
	}
	if r.err != nil {
		l.stopLed()
		return l.ledLost(ctx, r.err)
	}
	l.backToCloud(CloudLed)
	l.result.Checks += r.led.Checks
	a := l.result.Proposed[infer.FromCloud]
	a.Checked, a.Agreed = a.Checked+r.led.Drafted, a.Agreed+r.led.Accepted
	l.result.Proposed[infer.FromCloud] = a
	for i, t := range r.tokens {
		l.stream.more = true
		if t.ID < 0 || int(t.ID) >= l.model.Vocab.Size() || !l.sampler.Possible(t.ID, len(l.tokens)) {
			l.stopLed()
			return l.ledLost(ctx, fmt.Errorf("%w: %d at position %d", errWrongToken, t.ID, len(l.tokens)))
		}
		t.Source, t.Verified = infer.FromCloud, true
		if i == 0 {
			t.WaitMS = milliseconds(time.Since(start))
		}
		if !l.opt.Logprobs {
			t.Logprob = 0
		}
		l.stream.more = i < len(r.tokens)-1
		if err := l.emitToken(t); err != nil || l.result.Finish != "" {
			return true, err
		}
	}
	return true, nil
}

// lead has the cloud go on.
func (l *loop) lead(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s := &led{got: make(chan ledTokens), cancel: cancel}
	o := LeadOptions{
		Max: l.remaining(), Begin: len(l.tokens) - len(l.opt.Said) - len(l.result.Tokens), IgnoreEnd: l.opt.IgnoreEnd,
		Draft: l.opt.Draft, Sampling: l.opt.Sampling,
	}
	cloud := l.cloud.(Leader)
	l.stream = s
	l.asks++
	if l.mode.Name != CloudLed && l.result.FirstToken > 0 {
		l.markChange(CloudLed, "the cloud is expected to be faster by itself")
	}
	go func() { // ends with the cancellation; stopLed waits for it
		defer close(s.got)
		send := func(r ledTokens) bool {
			select {
			case s.got <- r:
				return true
			case <-ctx.Done():
				return false
			}
		}
		err := cloud.Lead(ctx, o, func(tokens []infer.Token, led Led) bool { return send(ledTokens{tokens: tokens, led: led}) })
		if err == nil {
			err = errEndedEarly
		}
		send(ledTokens{err: err})
	}()
}

// errEndedEarly is of a cloud that stops before the answer has ended.
var errEndedEarly = errors.New("the cloud ended the answer too early")

// stopLed has the cloud go on no more, and takes back what was not emitted.
func (l *loop) stopLed() {
	if l.stream == nil {
		return
	}
	l.stream.cancel()
	more := l.stream.more
	for r := range l.stream.got { // to be waited for; it may have been about to hand more over
		more = more || len(r.tokens) > 0
	}
	l.stream = nil
	if l.cloudErr != nil {
		return
	}
	if more {
		if err := l.cloud.Truncate(len(l.tokens)); err != nil {
			l.giveUpCloud(err)
			return
		}
	}
	l.advanceHead(context.Background()) // a TokenStage: it has the positions that the cloud has
}

// waitForLed waits for the next tokens. Meanwhile a draft that is to speak once the cloud is lost
// follows what was said.
func (l *loop) waitForLed(ctx context.Context) (ledTokens, error) {
	for {
		select {
		case r := <-l.stream.got:
			return r, ctx.Err()
		default:
		}
		if more, err := l.follow(false, 0); err != nil {
			return ledTokens{}, err
		} else if !more {
			break
		}
	}
	defer l.reportWaiting()()
	select {
	case r := <-l.stream.got:
		return r, ctx.Err()
	case <-ctx.Done():
		return ledTokens{}, ctx.Err()
	}
}

// ledLost takes in why the cloud goes on no more. It returns false where the answer goes on
// otherwise.
func (l *loop) ledLost(ctx context.Context, err error) (bool, error) {
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	if errors.Is(err, ErrNoLead) || errors.Is(err, errEndedEarly) {
		l.noLead = true
		l.markChange(Verified, err.Error())
		return false, nil
	}
	l.classify(err)
	return false, l.endIfLost(err)
}

// backToCloud notes that the cloud decides the tokens again, in a mode.
func (l *loop) backToCloud(mode infer.Mode) {
	l.markBack()
	if !l.tailActive {
		return
	}
	l.tailActive = false
	back := "the cloud answers again"
	if l.led {
		back = "the cloud is expected to be faster again"
	}
	l.led = false
	l.markChange(mode, back)
}
