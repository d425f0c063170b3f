package server

import (
	"cmp"
	"context"
	"errors"
	"time"

	"skerry/appliance/chat/tools"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// Follow finds an answer of a session. See infer.Backend.
func (c *Core) Follow(ctx context.Context, f infer.Following) (infer.Answer, error) {
	if j := c.known(f.Session, f.ID); j != nil {
		return j.following(f)
	}
	if p := c.waiting(f); p != nil {
		return p, nil
	}
	if c.opt.Journal == nil || f.Session == "" {
		return nil, noAnswer(f.Session, f.ID)
	}
	if f.Look {
		return c.look(f)
	}
	digest, err := c.bundleOf(f)
	if err != nil {
		return nil, err
	}
	e := c.entryOfBundle(digest)
	if e == nil { // which read says
		e = c.main()
	}
	m, err := c.useEntry(ctx, e)
	if err != nil {
		return nil, err
	}
	a, err := c.revive(ctx, m, f)
	var failure *infer.Error
	if errors.As(err, &failure) && failure.Code == infer.Conflict { // revived by another at the same moment
		if j := c.known(f.Session, f.ID); j != nil {
			return j.following(f)
		}
	}
	return a, err
}

// waiting is an answer that waits for its model, nil for none; it is known by its id alone,
// since it may yet turn out that the session is another's.
func (c *Core) waiting(f infer.Following) *pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pendings[f.ID]; p != nil && p.Session() == f.Session && f.Session != "" && f.By.May(p.request.By.Owner) {
		return p
	}
	return nil
}

// bundleOf is the id of the bundle that the journal's answer of a session was begun with, ""
// where that cannot be told. A session of another's is Forbidden, before a model is loaded for it.
func (c *Core) bundleOf(f infer.Following) (string, error) {
	log, err := c.opt.Journal.Open(f.Session, false)
	if errors.Is(err, ErrNoSession) { // no model is loaded to find that out
		return "", noAnswer(f.Session, f.ID)
	}
	if err != nil {
		return "", nil
	}
	r, err := log.Record()
	if err != nil {
		return "", nil
	}
	if !f.By.May(r.owner()) {
		return "", refuseOthers(f.Session)
	}
	if f.ID != "" && r.ID != f.ID || r.Answer <= 0 {
		return "", noAnswer(f.Session, f.ID)
	}
	return r.Bundle, nil
}

// following is the answer, for whom it is.
func (j *job) following(f infer.Following) (infer.Answer, error) {
	if !f.By.May(j.owner) {
		return nil, refuseOthers(f.Session)
	}
	return j, nil
}

// look makes an answer of what the journal holds, and neither goes on with it nor
// loads a model.
func (c *Core) look(f infer.Following) (infer.Answer, error) {
	digest, err := c.bundleOf(f)
	if err != nil {
		return nil, err
	}
	var m *loadedModel
	c.mu.Lock()
	for _, e := range c.loaded() {
		if m == nil || e.digest() == digest {
			m = e.model
		}
	}
	if m != nil {
		m.users++
	}
	c.mu.Unlock()
	if m == nil {
		return nil, infer.Errorf(infer.Unavailable, "session", "the answers of session %s are read with the model, which is not loaded: POST here instead of GET, or ask in the session", f.Session)
	}
	defer c.unuse(m)
	j, finish, err := c.read(m, f)
	if err != nil {
		return nil, err
	}
	if finish == "" {
		finish = j.whole()
	}
	e := j.end(finish)
	if finish == "" {
		e.Finish = infer.Failed
		e.Err = infer.Errorf(infer.Stopping, "session", "the answer was cut here: POST to the same address goes on with it")
	}
	j.log.close(e)
	return j, nil
}

// whole is the finish of an answer that has all its tokens and no end, "" for one that
// is not complete.
func (j *job) whole() infer.Finish {
	if !j.output.over {
		return ""
	}
	if n := len(j.opt.Said); j.output.stopped() || j.ends(j.model.Vocab, j.opt.Said[n-1]) {
		return infer.Stop
	}
	return infer.Length
}

// outgrown says why an answer that was cut cannot go on: the context is smaller than it was
// when the answer was begun, and has no position left for it. The answer stays cut, to be
// gone on with where the context is larger.
func (j *job) outgrown() error {
	said, context := len(j.prompt)+len(j.opt.Said), j.model.context(j.Request)
	if said < context {
		return nil
	}
	return infer.Errorf(infer.TooLong, "session", "prompt is %d tokens with the answer so far, context %d: raise num_ctx", said, context)
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
	if j.cut && !j.ended.IsZero() { // whoever follows it wants the rest, which the journal knows how to go on with
		c.remove(j)
		return nil
	}
	return j
}

func noAnswer(session, id string) error {
	if id == "" {
		return infer.Errorf(infer.NoSession, "session", "session %q holds no answer: ask in it first", session)
	}
	return infer.Errorf(infer.NoSession, "session", "session %q holds no answer %q: ask again", session, id)
}

// revive makes an answer of what the journal holds, and has it go on where it was
// cut. The model is given back unless the answer goes on with it.
func (c *Core) revive(ctx context.Context, m *loadedModel, f infer.Following) (infer.Answer, error) {
	j, finish, err := c.read(m, f)
	if err == nil && finish == "" && j.whole() == "" {
		c.chooseAgain(m.Model, j)
		if err = j.outgrown(); err == nil {
			err = m.able(j.task)
		}
		if err == nil {
			err = c.reopenImages(ctx, m.Model, j)
		}
	}
	if err == nil {
		err = c.claim(j, nil)
	}
	if err != nil {
		if j != nil {
			j.free()
		}
		c.release(m)
		return nil, err
	}
	if finish == "" {
		if finish = j.whole(); finish == "" {
			j, err := c.start(ctx, j)
			if err != nil {
				return nil, err
			}
			return j, nil
		}
	}
	c.mu.Lock()
	c.jobs[j.id] = j
	c.mu.Unlock()
	c.conclude(j, finish)
	return j, nil
}

// end of an answer that the journal has all tokens of.
func (j *job) end(finish infer.Finish) infer.Event {
	if finish == infer.Stop && j.output.parser.Called() {
		finish = infer.ToolCalls
	}
	n := len(j.opt.Said)
	e := infer.Event{Finish: finish, Usage: infer.Usage{Prompt: len(j.prompt), Cached: len(j.prompt), Completion: n},
		Provenance: &infer.Provenance{Answer: j.id, Session: j.Session(), Mode: j.opt.Mode, Seed: j.opt.Sampling.Seed, Sources: map[infer.Source]int{}, Resumed: n, Notes: j.notes, NotEnforced: j.notEnforced}}
	if finish == infer.Failed {
		e.Err = infer.Errorf(infer.Internal, "", "the answer broke off: ask again")
	}
	return e
}

// conclude ends an answer that the journal has all tokens of.
func (c *Core) conclude(j *job, finish infer.Finish) {
	e := j.end(finish)
	if j.kept.record.Finish == "" {
		c.keepEnd(j, e)
	}
	j.state.Store(idle)
	c.ended(j)
	j.log.close(e)
}

// read makes a job of what the journal holds of an answer, and says how it ended;
// empty where it was cut.
func (c *Core) read(m *loadedModel, f infer.Following) (*job, infer.Finish, error) {
	session, id := f.Session, f.ID
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
		return nil, "", infer.Errorf(infer.Internal, "session", "session %s cannot be read (%v): delete it with skerry sessions rm %[1]s", session, err)
	case !f.By.May(r.owner()):
		return nil, "", refuseOthers(session)
	case id != "" && r.ID != id || r.Answer <= 0 || r.Answer > len(tokens):
		return nil, "", noAnswer(session, id)
	case r.Bundle != m.Info.Digest:
		return nil, "", infer.Errorf(infer.NoModel, "session", "session %s was begun with bundle %.12s, this is %.12s: load that model, or begin another session", session, r.Bundle, m.Info.Digest)
	}
	if r.Request == nil { // of before skerry run wrote it down
		r.Request = &infer.Request{Session: session, Client: "local"}
	}
	if r.ID == "" { // as those of skerry run once were
		r.ID = c.id()
	}
	j := c.replay(m, session, log, r, tokens)
	j.By = f.By
	return j, whole(r.Finish), nil
}

// whole is how an answer of the journal ended.
func whole(f infer.Finish) infer.Finish {
	switch f {
	case "":
		return ""
	case infer.Stop:
		return infer.Stop
	case infer.Length:
		return infer.Length
	case infer.Cancelled:
		return infer.Cancelled
	}
	return infer.Failed
}

// replay makes a job that has the tokens which the journal has.
func (c *Core) replay(m *loadedModel, session string, log Log, r Record, tokens []int32) *job {
	q := &task{Request: *r.Request, prompt: tokens[:r.Answer], opt: r.Options, notes: notesOn(m.Model, *r.Request)}
	_, q.notEnforced, _ = tools.Grammar(tools.WantOf(m.Template.Style(), *r.Request)) // it was right when it was asked
	q.Request.Session = session
	q.opt.Said = tokens[r.Answer:]
	// An answer that is longer than the context has room for was not whole at that length.
	if room := max(m.context(q.Request)-len(q.prompt), len(q.opt.Said)+1); q.opt.MaxTokens == 0 || q.opt.MaxTokens > room {
		q.opt.MaxTokens = room
	}
	// The text is that of its own options; what becomes of it where the cloud is slow or lost
	// is as this process was told.
	c.mu.Lock()
	now := c.defaults
	c.mu.Unlock()
	q.opt.OnLoss, q.opt.MaxTokenLatency = cmp.Or(now.OnLoss, infer.GoAlone), now.MaxTokenLatency
	q.opt.Eager = now.Eager && decode.SpecOf(q.opt.Mode).Bounded
	q.opt.Draft = now.Draft
	asked := r.Messages
	if r.Finish != "" && r.answered() {
		asked = asked[:len(asked)-1]
	}
	j := &job{task: q, asked: asked, id: r.ID, owner: r.owner(), created: time.Now(), model: m, kept: &journalWriter{log: log, record: r, begun: true, keepUndelivered: c.opt.Undelivered}, resumed: len(q.opt.Said)}
	j.output = newOutputParser(m.Model, q, j.id)
	texts := decode.Texts(m.Vocab, q.opt.Said, q.opt.IgnoreEnd, len(q.opt.Said) >= q.opt.MaxTokens)
	for i, id := range q.opt.Said {
		j.log.append(j.output.say(j, infer.Token{ID: id, Text: texts[i]}, r.Answer+i+1))
	}
	return j
}
