package server

import (
	"context"
	"errors"
	"iter"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// pending is an answer whose model is not there yet, since requests for others were first.
// Its readers see how many are before it, and then the answer itself, or why there is none.
type pending struct {
	id      string
	of      string // the model's name
	request infer.Request
	created time.Time
	cancel  context.CancelCauseFunc
	log     tokenLog // of the queue; it ends once the answer is there
	job     *job     // the answer, nil for none; it is set before the log's end
}

var _ infer.Answer = (*pending)(nil)

func (p *pending) ID() string         { return p.id }
func (p *pending) Session() string    { return p.request.Session }
func (p *pending) Model() string      { return p.of }
func (p *pending) Created() time.Time { return p.created }

// Begun is not known before the model is there.
func (p *pending) Begun() (prompt, said int) {
	if j := p.answer(); j != nil {
		return j.Begun()
	}
	return 0, 0
}

// answer is the answer itself, nil while there is none.
func (p *pending) answer() *job {
	if p.log.view().end == nil {
		return nil
	}
	return p.job
}

func (p *pending) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		for e := range p.log.events(ctx, 0) {
			if e.Kind == infer.End && p.answer() != nil {
				break
			}
			if !yield(e) || e.Kind == infer.End {
				return
			}
		}
		if j := p.answer(); j != nil {
			for e := range j.Events(ctx, from) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// pend has a request wait for its model in the sight of whoever asks. The answer of a session
// goes on waiting when they go.
func (c *Core) pend(ctx context.Context, r infer.Request, w *waiter, began time.Time) (infer.Answer, error) {
	p := &pending{id: c.id(), request: r, created: began}
	lasts := r.Session != "" && !r.Unnamed
	if lasts {
		ctx = context.WithoutCancel(ctx)
	}
	run, cancel := context.WithCancelCause(ctx)
	p.cancel = cancel // before Cancel can find it
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		cancel(nil)
		c.abandon(w)
		return nil, errStopping
	}
	p.of = w.entry.name()
	c.pendings[p.id] = p
	c.busy++
	c.mu.Unlock()
	stop := context.AfterFunc(c.all, func() { cancel(context.Cause(c.all)) })
	c.jobsWG.Go(func() {
		defer stop()
		err := c.wait(run, p, w)
		failed := err != nil
		if failed {
			finish := infer.Failed
			if errors.Is(context.Cause(run), errCancelled) {
				finish, err = infer.Cancelled, nil
			}
			p.log.close(infer.Event{Finish: finish, Err: err, Provenance: &infer.Provenance{Answer: p.id, Session: p.Session(), Mode: r.Mode}})
		} else {
			p.log.close(infer.Event{})
		}
		c.mu.Lock()
		delete(c.pendings, p.id)
		c.jobEnded()
		c.mu.Unlock()
		if failed || lasts { // else the answer ends with its reader, through run
			cancel(nil)
		}
	})
	return p, nil
}

// wait begins the answer once its model is there.
func (c *Core) wait(ctx context.Context, p *pending, w *waiter) error {
	for {
		select {
		case n := <-w.moved:
			p.log.progress(infer.Event{Kind: infer.Queued, Queue: n})
		case g := <-w.got:
			if g.err != nil {
				return g.err
			}
			j, err := c.beginAnswer(ctx, p.request, g.m, p.created, p.id)
			if err != nil {
				return told(ctx, err)
			}
			p.job = j
			return nil
		case <-ctx.Done():
			c.abandon(w)
			return told(ctx, ctx.Err())
		}
	}
}

// told is the error as a client gets it.
func told(ctx context.Context, err error) error {
	var failure *infer.Error
	switch {
	case errors.As(err, &failure), errors.As(context.Cause(ctx), &failure):
		return failure
	case ctx.Err() != nil:
		return infer.Errorf(infer.Internal, "", "whoever asked wants no more of it")
	}
	return infer.Errorf(infer.Internal, "", "the answer could not be begun: %s", oneLine(err))
}

// status of a session whose question waits for its model.
func (p *pending) status(s status.Session) status.Session {
	s.ID, s.Client, s.State, s.Model = p.session(), p.request.Client, queued, p.of
	if s.Owner == "" {
		s.Owner = p.request.By.Owner
	}
	if s.Created.IsZero() {
		s.Created = p.created
	}
	if s.Updated.Before(p.created) {
		s.Updated = p.created
	}
	return s
}

// session is what lists show the answer by.
func (p *pending) session() string {
	if p.Session() != "" {
		return p.Session()
	}
	return p.id
}
