package server

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// job is an answer: under way, or whole and kept for a while.
type job struct {
	*task
	asked   []infer.Message   // the conversation before the answer, with sums in place of images
	images  map[string][]byte // that are still to be kept, by their sums
	log     tokenLog
	id      string
	owner   string // of the session: a key's name, "" for this machine
	created time.Time
	model   *loadedModel
	kept    *journalWriter // nil for a request without a session
	output  *outputParser
	last    string                  // the answer that it follows on, "" where it does not matter
	resumed int                     // tokens from before a restart
	cancel  context.CancelCauseFunc // nil until it is started; set under Core.mu
	load    time.Duration           // waited for the model

	cut     bool                   // its end stays open in the journal, to be gone on with; guarded by Core.mu
	state   atomic.Value           // string: queued, prefill, decoding, idle
	noDraft atomic.Pointer[string] // why it was given without the model's draft, nil where it was not
	moved   atomic.Int64           // when it last made progress, in ns since 1970
	ended   time.Time              // guarded by Core.mu
}

// States of a session.
const (
	queued   = "queued"
	prefill  = "prefill"
	decoding = "decoding"
	idle     = "idle"
	cutOff   = "cut"
)

var _ infer.Answer = (*job)(nil)

func (j *job) ID() string         { return j.id }
func (j *job) Session() string    { return j.Request.Session }
func (j *job) Model() string      { return j.model.Info.Name }
func (j *job) Created() time.Time { return j.created }

func (j *job) Begun() (prompt, said int) { return len(j.prompt), j.resumed }

func (j *job) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return j.log.events(ctx, from)
}

// move notes that the answer has made progress.
func (j *job) move() { j.moved.Store(time.Now().UnixNano()) }

// stalled is for how long it has made none.
func (j *job) stalled() time.Duration {
	state := j.state.Load()
	d := time.Since(time.Unix(0, j.moved.Load()))
	if state != prefill && state != decoding || d < status.StalledAfter {
		return 0
	}
	return d
}

// Causes for which a job is cancelled.
var (
	errStopString = errors.New("a stop string was met")
	errGone       = errors.New("the client has gone")
	errCancelled  = errors.New("whoever asked wants no more of it")
	errStopping   = &infer.Error{Code: infer.Stopping, RetryAfter: 5 * time.Second,
		Message: "skerry is stopping: ask again once it is back; an answer with a session goes on where it was, with Last-Event-ID"}
)

// run decodes the answer in a slot of its own. admitted is called once it has one,
// waits for one, or has failed to.
func (c *Core) run(ctx context.Context, j *job, admitted func(error)) {
	usage, truth := infer.Usage{}, infer.Provenance{Sources: map[infer.Source]int{}, Why: map[infer.Reason]int{}}
	a, err := c.turn(ctx, j, &usage, &truth, admitted)
	j.free()
	c.finish(ctx, j, a, usage, truth, err)
	admitted(err)
}

// turn decodes in a slot.
func (c *Core) turn(ctx context.Context, j *job, usage *infer.Usage, truth *infer.Provenance, admitted func(error)) (decode.Result, error) {
	began := time.Now()
	slot, err := j.model.Slots.Acquire(ctx, batch.Ask{
		Client: j.Client, Session: j.Session(), Prompt: slices.Concat(j.prompt, j.opt.Said),
		Progress: func(ahead int) {
			j.log.progress(infer.Event{Kind: infer.Queued, Queue: ahead})
			admitted(nil)
		},
	})
	usage.Queued += time.Since(began)
	if err != nil {
		return decode.Result{Finish: infer.Cancelled}, err
	}
	admitted(nil)
	if c.opt.Queued != nil {
		c.opt.Queued(time.Since(began))
	}
	defer slot.Release()
	j.state.Store(prefill)
	j.move()
	if j.kept != nil && !j.kept.begun {
		err := j.kept.begin(j)
		if c.journalled(err); err != nil && c.opt.Undelivered {
			return decode.Result{Finish: infer.Cancelled}, infer.Errorf(infer.Internal, "session", "session %s cannot be written down (%s): begin another session, or ask without one", j.Session(), oneLine(err))
		}
		if err == nil {
			c.dropImages(j)
		}
	}
	up, down := slot.Bytes()
	a, err := c.generate(ctx, j, slot, usage, truth)
	nowUp, nowDown := slot.Bytes()
	truth.BytesUp, truth.BytesDown = truth.BytesUp+nowUp-up, truth.BytesDown+nowDown-down
	return a, err
}

// generate decodes the tokens that are still to come.
func (c *Core) generate(ctx context.Context, j *job, slot Slot, usage *infer.Usage, truth *infer.Provenance) (decode.Result, error) {
	opt, pos := j.opt, len(j.prompt)+len(j.opt.Said)
	progress := j.move
	if c.opt.Watch != nil {
		w := c.opt.Watch()
		defer w.Done()
		progress = func() {
			w.Progress()
			j.move()
		}
	}
	opt.Waiting = progress // waiting for the cloud is no stall
	cached := -1           // not known before the first of them is told
	opt.Prefill = func(done, total int) {
		progress()
		if cached < 0 {
			cached = done
		}
		j.log.progress(infer.Event{Kind: infer.Prefill, Done: done, Total: total, Cached: cached})
	}
	opt.CatchUp = func(int, int) { progress() }
	began, before := time.Now(), j.created
	var first time.Time
	pace := 0 // which answer the speed of these tokens counts for
	a, err := slot.Generate(ctx, j.prompt, opt, func(t infer.Token) {
		if j.output.over {
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
		s := j.output.say(j, j.model.token(t, j.Logprobs), pos)
		tally(truth, s.token)
		c.count.change(t.Change)
		pace = c.count.token(s.token, pace)
		j.log.append(s)
		progress()
		if c.opt.Observe != nil {
			now := time.Now()
			c.opt.Observe(TokenSeen{Session: j.Session(), Bundle: j.model.Info.Digest, Owner: j.owner, Answer: j.id, Index: pos - len(j.prompt), Source: s.token.Source, Mode: opt.Mode, Text: s.token.Text,
				Took: now.Sub(before), Wait: time.Duration(t.WaitMS * float64(time.Millisecond)), First: before.Equal(j.created)})
			before = now
		}
		if j.output.stopped() {
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
