package serve

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// Follow finds an answer of a session. See answer.Backend.
func (c *Core) Follow(ctx context.Context, session, id string) (answer.Answer, error) {
	if j := c.known(session, id); j != nil {
		return j, nil
	}
	if c.opt.Journal == nil || session == "" {
		return nil, noAnswer(session, id)
	}
	m, err := c.use(ctx, "")
	if err != nil {
		return nil, err
	}
	a, err := c.revive(ctx, m, session, id)
	var told *answer.Error
	if errors.As(err, &told) && told.Code == answer.Conflict { // revived by another at the same moment
		if j := c.known(session, id); j != nil {
			return j, nil
		}
	}
	return a, err
}

// known is an answer in memory, nil for none.
func (c *Core) known(session, id string) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.sessions[session]
	if id != "" {
		j = c.jobs[id]
	}
	if j == nil || j.Session() != session || session == "" {
		return nil
	}
	return j
}

func noAnswer(session, id string) error {
	if id == "" {
		return answer.Errorf(answer.NoSession, "session", "session %q holds no answer: ask in it first", session)
	}
	return answer.Errorf(answer.NoSession, "session", "session %q holds no answer %q: ask again", session, id)
}

// revive makes an answer of what the journal holds, and has it go on where it was
// cut. The model is given back unless the answer goes on with it.
func (c *Core) revive(ctx context.Context, m *memory, session, id string) (answer.Answer, error) {
	j, finish, err := c.read(m, session, id)
	if err == nil {
		err = c.claim(j, nil)
	}
	if err != nil {
		c.release(m)
		return nil, err
	}
	switch {
	case finish != "": // whole
	case j.voice.over: // whole but for its end
		finish = answer.Length
		if n := len(j.opt.Said); j.voice.stopped() || m.Vocab.End(j.opt.Said[n-1]) {
			finish = answer.Stop
		}
	default:
		return c.start(ctx, j)
	}
	c.mu.Lock()
	c.jobs[j.id] = j
	c.mu.Unlock()
	c.conclude(j, finish)
	return j, nil
}

// conclude ends an answer that the journal has all tokens of.
func (c *Core) conclude(j *job, finish answer.Finish) {
	if finish == answer.Stop && j.voice.parser.Called() {
		finish = answer.ToolCalls
	}
	n := len(j.opt.Said)
	e := answer.Event{Finish: finish, Usage: answer.Usage{Prompt: len(j.prompt), Cached: len(j.prompt), Completion: n},
		Truth: &answer.Truth{Answer: j.id, Session: j.Session(), Mode: string(j.opt.Mode), Seed: j.opt.Sampling.Seed, Sources: map[string]int{}, Resumed: n}}
	if finish == answer.Failed {
		e.Err = answer.Errorf(answer.Internal, "", "the answer broke off: ask again")
	}
	if j.kept.record.Finish == "" {
		c.keepEnd(j, e)
	}
	j.state.Store(idle)
	c.ended(j)
	j.log.close(e)
}

// read makes a job of what the journal holds of an answer, and says how it ended;
// empty where it was cut.
func (c *Core) read(m *memory, session, id string) (*job, answer.Finish, error) {
	log, err := c.opt.Journal.Open(session, false)
	if errors.Is(err, ErrNoSession) {
		return nil, "", noAnswer(session, id)
	}
	var r Record
	var tokens []int32
	if err == nil {
		r, err = log.Record()
	}
	if err == nil {
		tokens, err = log.Tokens()
	}
	switch {
	case err != nil:
		return nil, "", answer.Errorf(answer.Internal, "session", "session %s cannot be read (%v): delete it with skerry sessions rm %[1]s", session, err)
	case r.ID == "" || id != "" && r.ID != id || r.Answer <= 0 || r.Answer > len(tokens) || r.Request == nil:
		return nil, "", noAnswer(session, id)
	case r.Bundle != m.Info.Digest:
		return nil, "", answer.Errorf(answer.NoModel, "session", "session %s was begun with bundle %.12s, this is %.12s: load that model, or begin another session", session, r.Bundle, m.Info.Digest)
	}
	return c.replay(m, session, log, r, tokens), whole(r.Finish), nil
}

// whole is how an answer of the journal ended.
func whole(f decode.Finish) answer.Finish {
	switch f {
	case "":
		return ""
	case decode.FinishStop:
		return answer.Stop
	case decode.FinishLength:
		return answer.Length
	case decode.FinishCancel:
		return answer.Cancelled
	}
	return answer.Failed
}

// replay says what was said before.
func (c *Core) replay(m *memory, session string, log Log, r Record, tokens []int32) *job {
	q := &question{Request: *r.Request, prompt: tokens[:r.Answer], opt: r.Options}
	q.Request.Session = session
	q.opt.Said = tokens[r.Answer:]
	asked := r.Messages
	if n := len(asked); r.Finish != "" && n > 0 { // the last is the answer
		asked = asked[:n-1]
	}
	j := &job{question: q, asked: asked, id: r.ID, created: time.Now(), model: m, kept: &keeper{log: log, record: r, begun: true}, resumed: len(q.opt.Said)}
	j.voice = newVoice(m.Model, q, j.id)
	texts := decode.Texts(m.Vocab, q.opt.Said, len(q.opt.Said) == q.opt.MaxTokens)
	for i, id := range q.opt.Said {
		j.log.say(j.voice.say(j, answer.Token{ID: id, Text: texts[i]}, r.Answer+i+1))
	}
	return j
}
