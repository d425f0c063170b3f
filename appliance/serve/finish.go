package serve

import (
	"context"
	"errors"
	"strings"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// token is a decoder's as clients get it.
func (m *memory) token(t decode.Token, logprobs bool) answer.Token {
	a := answer.Token{
		ID: t.ID, Text: t.Text, Source: string(t.Source), Verified: t.Verified,
		Confidence: t.Confidence, Margin: t.Margin, WaitMS: t.WaitMS, Why: string(t.Why),
	}
	if !logprobs {
		return a
	}
	a.Logprob, a.Bytes = t.Logprob, m.Vocab.Piece(t.ID, false)
	for _, o := range t.Top {
		piece := m.Vocab.Piece(o.ID, true)
		a.Top = append(a.Top, answer.Logprob{ID: o.ID, Text: strings.ToValidUTF8(string(piece), "\uFFFD"), Bytes: piece, Logprob: o.Logprob})
	}
	return a
}

// tally counts a token in the truth of an answer.
func tally(truth *answer.Truth, t answer.Token, change *decode.Change) {
	truth.Sources[t.Source]++
	truth.WaitMS += t.WaitMS
	if t.Why != "" {
		truth.Why[t.Why]++
	}
	if change != nil {
		truth.Changes = append(truth.Changes, answer.Change{At: change.At, To: string(change.To), Reason: change.Reason})
	}
}

// finish ends an answer, for its readers, in the journal and in the books. One of a
// session that the daemon's own end has cut stays open in the journal.
func (c *Core) finish(ctx context.Context, j *job, a decode.Answer, usage answer.Usage, truth answer.Truth, err error) {
	e := answer.Event{Usage: usage, Truth: &truth}
	e.Finish, e.Err = j.ending(ctx, a, err)
	n := j.log.len()
	e.Usage.Prompt, e.Usage.Completion, e.Usage.Load = len(j.prompt), n, j.load
	e.Usage.Total = time.Since(j.created)
	truth.Answer, truth.Session, truth.Mode, truth.Seed = j.id, j.Session(), string(j.opt.Mode), j.opt.Sampling.Seed
	truth.Asks, truth.Resumed = a.Asks, j.resumed
	if a.Lost != nil {
		truth.Lost = strings.Join(strings.Fields(a.Lost.Error()), " ")
	}
	if j.kept != nil {
		c.keepEnd(j, e)
	}
	if n > 0 {
		c.count.answer(e.Usage, a.Asks)
	}
	j.state.Store(idle)
	c.ended(j) // first: who has heard the end may ask on
	j.log.close(e)
}

// keepEnd writes down how an answer ended. One that is kept whole ends the complaint
// about one before that was not.
func (c *Core) keepEnd(j *job, e answer.Event) {
	c.journalled(j.kept.end(j, e))
	if j.kept.begun && j.kept.failed == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.journalErr = nil
	}
}

// ending says why an answer has ended.
func (j *job) ending(ctx context.Context, a decode.Answer, err error) (answer.Finish, error) {
	var told *answer.Error
	cause := context.Cause(ctx)
	switch {
	case j.voice.over && j.voice.parser.Called():
		return answer.ToolCalls, nil
	case j.voice.stopped(), a.Finish == decode.FinishStop:
		return answer.Stop, nil
	case a.Finish == decode.FinishLength:
		return answer.Length, nil
	case errors.As(cause, &told):
		return answer.Failed, told
	case cause != nil:
		return answer.Cancelled, nil
	case errors.As(err, &told):
		return answer.Failed, told
	case a.Finish == decode.FinishLost:
		return answer.Failed, answer.Errorf(answer.Unavailable, "", "the cloud was lost, and the answer is not to go on without it (%v): ask again", err)
	}
	return answer.Failed, answer.Errorf(answer.Internal, "", "the answer broke off: %v", err)
}
