package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// token adds to a token what clients get where they asked for log probabilities: the
// bytes of the token itself and of those that might have been said.
func (m *loadedModel) token(t infer.Token, logprobs bool) infer.Token {
	if !logprobs {
		t.Logprob, t.Top = 0, nil
		return t
	}
	t.Bytes, t.Top = m.Vocab.Piece(t.ID, false), slices.Clone(t.Top)
	for i := range t.Top {
		o := &t.Top[i]
		o.Bytes = m.Vocab.Piece(o.ID, true)
		o.Text = strings.ToValidUTF8(string(o.Bytes), "\uFFFD")
	}
	return t
}

// tally counts a token in the truth of an answer.
func tally(truth *infer.Provenance, t infer.Token) {
	truth.Sources[t.Source]++
	truth.WaitMS += t.WaitMS
	if t.Why != "" {
		truth.Why[t.Why]++
	}
	if t.Change != nil {
		truth.Changes = append(truth.Changes, *t.Change)
	}
}

// finish ends an answer, for its readers, in the journal and in the counts. One of a
// session that the daemon's own end has cut stays open in the journal.
func (c *Core) finish(ctx context.Context, j *job, a decode.Result, usage infer.Usage, truth infer.Provenance, err error) {
	e := infer.Event{Usage: usage, Provenance: &truth}
	e.Finish, e.Err = j.ending(ctx, a, err)
	if e.Finish == infer.Stop {
		e.StopString = j.output.stops.Hit()
	}
	n := j.log.len()
	e.Usage.Prompt, e.Usage.Completion, e.Usage.Load = len(j.prompt), n, j.load
	e.Usage.Total = time.Since(j.created)
	truth.Answer, truth.Session, truth.Mode, truth.Seed = j.id, j.Session(), j.opt.Mode, j.opt.Sampling.Seed
	truth.Asks, truth.Resumed, truth.Notes, truth.NotEnforced = a.Asks, j.resumed, j.notes, j.notEnforced
	truth.Returned, truth.Late, truth.LateAgreed, truth.Agreement, truth.CaughtUp = a.Resumed, a.Late, a.LateAgreed, a.Agreement, a.CaughtUp
	truth.Checks, truth.Drafted = a.Checks, a.Proposed
	if a.Lost != nil {
		truth.Lost = strings.Join(strings.Fields(a.Lost.Error()), " ")
	}
	if a.Draft != nil {
		why := oneLine(a.Draft)
		j.noDraft.Store(&why)
		truth.Notes = append(slices.Clone(truth.Notes), why)
	}
	if j.kept != nil {
		c.keepEnd(j, e)
		c.mu.Lock()
		j.cut = j.kept.begun && j.kept.failed == nil && j.kept.record.Finish == ""
		c.mu.Unlock()
	}
	if n > 0 {
		c.count.answer(e.Usage, a)
	}
	j.state.Store(idle)
	c.ended(j) // first: who has heard the end may ask on
	j.log.close(e)
}

// keepEnd writes down how an answer ended. One that is written down whole clears the
// error of one before that was not.
func (c *Core) keepEnd(j *job, e infer.Event) {
	c.journalled(j.kept.end(j, e))
	if j.kept.begun && j.kept.failed == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.journalErr = nil
	}
}

// retryLost is when to ask again after the cloud was lost.
const retryLost = 5 * time.Second

// ending says why an answer has ended.
func (j *job) ending(ctx context.Context, a decode.Result, err error) (infer.Finish, error) {
	var failure *infer.Error
	cause := context.Cause(ctx)
	switch {
	case j.output.over && j.output.parser.Called():
		return infer.ToolCalls, nil
	case j.output.stopped(), a.Finish == infer.Stop:
		return infer.Stop, nil
	case a.Finish == infer.Length:
		return infer.Length, nil
	case errors.As(cause, &failure):
		return infer.Failed, failure
	case cause != nil:
		return infer.Cancelled, nil
	case errors.As(err, &failure):
		return infer.Failed, failure
	case errors.Is(err, infer.ErrGrammar):
		return infer.Failed, infer.Errorf(infer.BadRequest, "response_format", "the answer broke off: %s", oneLine(err))
	case a.Finish == infer.CloudLost:
		lost := infer.Errorf(infer.Unavailable, "", "the answer ends here: %s: ask again once the cloud is back; an answer with a session goes on where it was, with Last-Event-ID", oneLine(err))
		lost.RetryAfter, lost.Reason = retryLost, oneLine(err)
		return infer.Failed, lost
	}
	return infer.Failed, infer.Errorf(infer.Internal, "", "the answer broke off: %v", err)
}
