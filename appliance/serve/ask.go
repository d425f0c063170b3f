package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"skerry/appliance/answer"
)

// Ask begins an answer. See answer.Backend.
func (c *Core) Ask(ctx context.Context, r answer.Request) (answer.Answer, error) {
	began := time.Now()
	m, err := c.use(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	load := time.Since(began)
	q, err := c.ask(m.Model, r)
	if err != nil {
		c.release(m)
		return nil, err
	}
	j := &job{question: q, asked: conversation(r), id: c.id(), created: began, model: m, load: load}
	j.voice = newVoice(m.Model, q, j.id)
	if err := c.open(j); err != nil {
		c.release(m)
		return nil, err
	}
	return c.start(ctx, j)
}

// open makes the answer the session's own, to be kept in the journal.
func (c *Core) open(j *job) error {
	if j.Session() == "" || c.opt.Journal == nil {
		return c.claim(j, nil)
	}
	return c.claim(j, func() (err error) {
		j.kept, err = newKeeper(c.opt.Journal, j)
		return err
	})
}

// claim has j answer in its session, unless something else is being answered there.
// It counts as under way from then on. The session is prepared meanwhile, with no
// lock held.
func (c *Core) claim(j *job, prepare func() error) error {
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return errStopping
	}
	last := c.sessions[j.Session()]
	if j.Session() != "" {
		if last != nil && last.ended.IsZero() {
			c.mu.Unlock()
			return answer.Errorf(answer.Conflict, "session", "session %s is being answered: follow that answer (Last-Event-ID %s.0), wait for it, or ask in another session", j.Session(), last.id)
		}
		c.sessions[j.Session()] = j
	}
	c.busy++
	c.mu.Unlock()
	if prepare == nil {
		return nil
	}
	err := prepare()
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		j.log.close(answer.Event{Finish: answer.Failed, Err: err})
		c.unclaim(j)
		c.idle()
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

// idle counts a job less. The caller holds mu.
func (c *Core) idle() {
	if c.busy--; c.busy == 0 && c.calm != nil {
		close(c.calm)
		c.calm = nil
	}
}

// start has the answer decoded, and returns once it has a slot or waits for one.
func (c *Core) start(ctx context.Context, j *job) (answer.Answer, error) {
	run, cancel := context.WithCancelCause(c.all)
	j.cancel = cancel
	j.state.Store(queued)
	stop := func() bool { return true }
	if j.Session() == "" {
		stop = context.AfterFunc(ctx, func() { cancel(errGone) })
	}
	c.mu.Lock()
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
		c.drop(j)
		c.mu.Unlock()
		var told *answer.Error
		switch {
		case errors.As(context.Cause(run), &told), errors.As(err, &told):
			return nil, told
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		return nil, answer.Errorf(answer.Internal, "", "no slot to decode in: %v", err)
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
	c.idle()
	c.tidy()
}

// Count is how many tokens the prompt of a request is.
func (c *Core) Count(ctx context.Context, r answer.Request) (int, error) {
	m, err := c.use(ctx, r.Model)
	if err != nil {
		return 0, err
	}
	defer c.release(m)
	ids, err := m.prompt(r)
	return len(ids), err
}
