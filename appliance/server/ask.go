package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"skerry/appliance/infer"
)

// Ask begins an answer. See infer.Backend. Where requests for other models are first it
// returns one that waits, and tells its readers how many are before it.
func (c *Core) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	began := time.Now()
	e, err := c.entryOf(r.Model)
	if err != nil {
		return nil, err
	}
	w, err := c.want(ctx, e, true, r.KeepAlive)
	if err != nil {
		return nil, err
	}
	select {
	case g := <-w.got:
		if g.err != nil {
			return nil, g.err
		}
		return c.answer(ctx, r, g.m, began)
	default:
	}
	select {
	case g := <-w.got:
		if g.err != nil {
			return nil, g.err
		}
		return c.answer(ctx, r, g.m, began)
	case <-w.shown:
		return c.pend(ctx, r, w, began)
	case <-ctx.Done():
		c.abandon(w)
		return nil, ctx.Err()
	}
}

// answer begins an answer with a model, which is given back if that fails.
func (c *Core) answer(ctx context.Context, r infer.Request, m *loadedModel, began time.Time) (infer.Answer, error) {
	j, err := c.beginAnswer(ctx, r, m, began, "")
	if err != nil {
		return nil, err
	}
	return j, nil
}

// beginAnswer begins an answer with a model, which is given back if that fails. Its id is drawn
// where it has none.
func (c *Core) beginAnswer(ctx context.Context, r infer.Request, m *loadedModel, began time.Time, id string) (*job, error) {
	load := time.Since(began)
	r, last, err := c.goOn(r)
	if err == nil {
		r, err = c.unkept(r)
	}
	if err != nil {
		c.release(m)
		return nil, err
	}
	q, err := c.ask(ctx, m.Model, r)
	if err != nil {
		c.release(m)
		return nil, err
	}
	c.notePinned(m, q)
	if len(q.notes) > 0 { // some clients wish it with every request: once is enough
		m.noted.Do(func() { c.opt.Log.Info("a request's wish was not met in full", "note", q.notes[0]) })
	}
	if id == "" {
		id = c.id()
	}
	j := &job{task: q, asked: infer.WithoutImages(conversation(r)), id: id, owner: r.By.Owner, created: began, model: m, load: load, last: last}
	if r.Session != "" {
		j.asked, j.images = infer.ImageSums(conversation(r)), imagesOf(r.Messages)
	}
	j.output = newOutputParser(m.Model, q, j.id)
	if err := c.open(j); err != nil {
		q.free()
		c.release(m)
		return nil, err
	}
	return c.start(ctx, j)
}

// notePinned notes that a model stays loaded that the request would have unloaded.
func (c *Core) notePinned(m *loadedModel, q *task) {
	if q.KeepAlive == nil || *q.KeepAlive < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if e.model == m && e.pinned {
			q.notes = append(q.notes, "keep_alive had no effect: the model is pinned, and stays loaded")
		}
	}
}

// open makes the answer the session's own, to be kept in the journal. One whose session nobody
// has asked for is given without it where it is too long for that.
func (c *Core) open(j *job) error {
	if j.Session() == "" || c.opt.Journal == nil {
		return c.claim(j, nil)
	}
	if j.Unnamed {
		_, err := newJournalWriter(c.opt.Journal, j, c.opt.Undelivered)
		if err == nil {
			err = c.keepImages(j)
		}
		if err != nil {
			j.Request.Session, j.asked, j.images = "", infer.WithoutImages(j.asked), nil
			return c.claim(j, nil)
		}
	}
	// Another's is refused before it is claimed, which its owner would notice; and again
	// once it is claimed, when nobody else can take it any more.
	if err := c.adopt(j); err != nil {
		return err
	}
	return c.claim(j, func() (err error) {
		if err := c.adopt(j); err != nil {
			return err
		}
		if j.kept, err = newJournalWriter(c.opt.Journal, j, c.opt.Undelivered); err == nil {
			err = c.keepImages(j) // once more where it was tried above: another answer may have ended since, and dropped them
		}
		j.images = nil
		return err
	})
}

// adopt leaves a session that the journal has to its owner.
func (c *Core) adopt(j *job) error {
	log, err := c.opt.Journal.Open(j.Session(), false)
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	var r Record
	if err == nil {
		r, err = log.Record()
	}
	if err != nil {
		return infer.Errorf(infer.Internal, "session", "session %s cannot be read (%v): delete it with skerry sessions rm %[1]s", j.Session(), err)
	}
	if !j.By.May(r.owner()) {
		return refuseOthers(j.Session())
	}
	j.owner = r.owner()
	return nil
}

// refuseOthers is the refusal of a session that somebody else has made.
func refuseOthers(session string) error {
	return infer.Errorf(infer.Forbidden, "session", "session %s is another key's: choose another name", session)
}

// claim has j answer in its session, unless it is another's or something else is being
// answered there. It counts as under way from then on. The session is prepared meanwhile, with no
// lock held.
func (c *Core) claim(j *job, prepare func() error) error {
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return errStopping
	}
	last := c.sessions[j.Session()]
	if j.Session() != "" {
		if last != nil && !j.By.May(last.owner) {
			c.mu.Unlock()
			return refuseOthers(j.Session())
		}
		if last != nil {
			j.owner = last.owner
		}
		if last != nil && last.ended.IsZero() {
			c.mu.Unlock()
			return infer.Errorf(infer.Conflict, "session", "session %s is being answered: follow that answer (Last-Event-ID %s.0), wait for it, or ask in another session", j.Session(), last.id)
		}
		if j.last != "" && last != nil && last.id != j.last {
			c.mu.Unlock()
			return infer.Errorf(infer.Conflict, "session", "session %s was asked something else meanwhile: look at what it holds now, and ask again", j.Session())
		}
		c.sessions[j.Session()] = j
	}
	c.busy++
	c.noteAsked()
	c.mu.Unlock()
	if prepare == nil {
		return nil
	}
	err := prepare()
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		j.log.close(infer.Event{Finish: infer.Failed, Err: err})
		c.unclaim(j)
		c.jobEnded()
	}
	return err
}

// unclaim gives the session back to its answer before j, which never was one. The
// caller holds mu.
func (c *Core) unclaim(j *job) {
	if c.sessions[j.Session()] != j {
		return
	}
	delete(c.sessions, j.Session())
	for _, o := range c.jobs {
		if last := c.sessions[j.Session()]; o != j && o.Session() == j.Session() && (last == nil || last.created.Before(o.created)) {
			c.sessions[j.Session()] = o
		}
	}
}

// jobEnded counts one answer under way less. The caller holds mu.
func (c *Core) jobEnded() {
	c.asked = time.Now()
	if c.busy--; c.busy == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// start has the answer decoded, and returns once it has a slot or waits for one.
func (c *Core) start(ctx context.Context, j *job) (*job, error) {
	run, cancel := context.WithCancelCause(c.all)
	j.state.Store(queued)
	stop := func() bool { return true }
	if j.Session() == "" || j.Unnamed {
		stop = context.AfterFunc(ctx, func() { cancel(errGone) })
	}
	c.mu.Lock()
	j.cancel = cancel
	c.jobs[j.id] = j
	c.mu.Unlock()
	admitted, once := make(chan error, 1), sync.Once{}
	c.jobsWG.Go(func() {
		defer cancel(nil)
		defer stop()
		c.run(run, j, func(err error) { once.Do(func() { admitted <- err }) })
	})
	if err := <-admitted; err != nil {
		c.mu.Lock()
		c.unclaim(j)
		c.remove(j)
		c.mu.Unlock()
		var failure *infer.Error
		switch {
		case errors.As(context.Cause(run), &failure), errors.As(err, &failure):
			return nil, failure
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, infer.Errorf(infer.Internal, "", "no slot to decode in: %v", err)
	}
	return j, nil
}

// ended moves a job from those under way to those that are kept for a while.
func (c *Core) ended(j *job) {
	c.release(j.model)
	c.mu.Lock()
	defer c.mu.Unlock()
	j.ended = time.Now()
	c.bytes += j.log.size()
	c.jobEnded()
	c.evict()
}

// Count is how many tokens the prompt of a request is.
func (c *Core) Count(ctx context.Context, r infer.Request) (int, error) {
	m, err := c.use(ctx, r.Model)
	if err != nil {
		return 0, err
	}
	defer c.release(m)
	ids, free, err := c.prompt(ctx, m.Model, r)
	free()
	if err != nil {
		return 0, err
	}
	return len(ids), m.roomFor(r, len(ids))
}
