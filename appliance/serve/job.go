package serve

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// job is an answer: under way, or whole and kept for a while.
type job struct {
	*question
	asked   []answer.Message // the conversation before the answer
	log     log
	id      string
	created time.Time
	model   *memory
	kept    *keeper // nil for a request without a session
	voice   *voice
	resumed int // tokens said before a restart
	cancel  context.CancelCauseFunc
	load    time.Duration // waited for the model

	state atomic.Value // string: queued, prefill, decoding, idle
	ended time.Time    // guarded by Core.mu
}

// States of a session.
const (
	queued   = "queued"
	prefill  = "prefill"
	decoding = "decoding"
	idle     = "idle"
	cutOff   = "cut"
)

var _ answer.Answer = (*job)(nil)

func (j *job) ID() string         { return j.id }
func (j *job) Session() string    { return j.Request.Session }
func (j *job) Model() string      { return j.model.Info.Name }
func (j *job) Created() time.Time { return j.created }

func (j *job) Events(ctx context.Context, from int) iter.Seq[answer.Event] {
	return j.log.events(ctx, from)
}

// Causes for which a job is cancelled.
var (
	errStopString = errors.New("a stop string was met")
	errGone       = errors.New("the client has gone")
	errStopping   = &answer.Error{Code: answer.Stopping, RetryAfter: 5 * time.Second,
		Message: "skerry is stopping: ask again once it is back; an answer with a session goes on where it was, with Last-Event-ID"}
)

// run decodes the answer in a slot of its own. admitted is called once it has one,
// waits for one, or has failed to.
func (c *Core) run(ctx context.Context, j *job, admitted func(error)) {
	usage, truth := answer.Usage{}, answer.Truth{Sources: map[string]int{}, Why: map[string]int{}}
	a, err := c.turn(ctx, j, &usage, &truth, admitted)
	c.finish(ctx, j, a, usage, truth, err)
	admitted(err)
}

// turn decodes in a slot.
func (c *Core) turn(ctx context.Context, j *job, usage *answer.Usage, truth *answer.Truth, admitted func(error)) (decode.Answer, error) {
	began := time.Now()
	slot, err := j.model.Slots.Acquire(ctx, SlotAsk{
		Client: j.Client, Session: j.Session(), Prompt: slices.Concat(j.prompt, j.opt.Said),
		Progress: func(ahead int) {
			j.log.progress(answer.Event{Kind: answer.Queued, Queue: ahead})
			admitted(nil)
		},
	})
	usage.Queued += time.Since(began)
	if err != nil {
		return decode.Answer{Finish: decode.FinishCancel}, err
	}
	admitted(nil)
	if c.opt.Queued != nil {
		c.opt.Queued(time.Since(began))
	}
	defer slot.Release()
	j.state.Store(prefill)
	if j.kept != nil && !j.kept.begun {
		c.journalled(j.kept.begin(j))
	}
	up, down := slot.Bytes()
	a, err := c.generate(ctx, j, slot, usage, truth)
	nowUp, nowDown := slot.Bytes()
	truth.BytesUp, truth.BytesDown = truth.BytesUp+nowUp-up, truth.BytesDown+nowDown-down
	return a, err
}

// generate says the tokens that are still to come.
func (c *Core) generate(ctx context.Context, j *job, slot Slot, usage *answer.Usage, truth *answer.Truth) (decode.Answer, error) {
	opt, pos := j.opt, len(j.prompt)+len(j.opt.Said)
	progress := func() {}
	// An answer that is to wait for a lost cloud may stand still for good reason.
	if c.opt.Watch != nil && opt.OnLoss != decode.Await {
		w := c.opt.Watch()
		defer w.Done()
		progress = w.Progress
	}
	opt.Prefill = func(done, total int) {
		progress()
		j.log.progress(answer.Event{Kind: answer.Prefill, Done: done, Total: total})
	}
	began, before := time.Now(), j.created
	var first time.Time
	a, err := slot.Generate(ctx, j.prompt, opt, func(t decode.Token) {
		if j.voice.over {
			return
		}
		if first.IsZero() {
			first = time.Now()
			j.state.Store(decoding)
		}
		if j.kept != nil { // before anybody sees it
			c.journalled(j.kept.say(pos, t.ID))
		}
		pos++
		s := j.voice.say(j, j.model.token(t, j.Logprobs), pos)
		tally(truth, s.token, t.Change)
		c.count.change(t.Change)
		c.count.token(s.token)
		j.log.say(s)
		progress()
		if c.opt.Observe != nil {
			now := time.Now()
			c.opt.Observe(TokenSeen{Session: j.Session(), Answer: j.id, Index: pos - len(j.prompt), Source: s.token.Source, Text: s.token.Text,
				Took: now.Sub(before), First: before.Equal(j.created)})
			before = now
		}
		if j.voice.stopped() {
			j.cancel(errStopString)
		}
	})
	switch {
	case first.IsZero():
		first = time.Now()
	case len(opt.Said) == 0:
		c.count.first(first.Sub(j.created))
	}
	if j.resumed == len(opt.Said) {
		usage.Cached = min(max(len(j.prompt)+len(opt.Said)-a.Prefilled, 0), len(j.prompt))
	}
	usage.Prefill, usage.Decode = usage.Prefill+first.Sub(began), usage.Decode+time.Since(first)
	return a, err
}
