package server

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrAsked is the cause of the end of a context of Leisure.
var ErrAsked = errors.New("a request came")

// Leisure waits until no request has been under way for a time, and returns a context that
// ends as soon as the next one comes: for work that may be done at any time, and that
// nobody is to wait for. One caller at a time may use it. The error is that of ctx.
func (c *Core) Leisure(ctx context.Context, quiet time.Duration) (context.Context, context.CancelCauseFunc, error) {
	for {
		c.mu.Lock()
		left := quiet - time.Since(c.asked)
		if c.busy > 0 || c.preparing > 0 || len(c.queue) > 0 {
			left = quiet
		}
		if left <= 0 {
			free, end := context.WithCancelCause(ctx)
			c.disturb = end
			c.mu.Unlock()
			return free, end, nil
		}
		c.mu.Unlock()
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, nil, ctx.Err()
		}
	}
}

// noteAsked ends what is done at leisure. The caller holds mu.
func (c *Core) noteAsked() {
	c.asked = time.Now()
	if c.disturb != nil {
		c.disturb(ErrAsked)
		c.disturb = nil
	}
}

// Renew has the model of a bundle's id loaded anew once nobody uses it, and waits for that: its
// files have changed. Who asks meanwhile waits too. It returns whether that was done: of a
// model that is not loaded there is nothing to do, since the next load reads the files as they
// are.
func (c *Core) Renew(ctx context.Context, digest string) (renewed bool, err error) {
	c.mu.Lock()
	i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.model != nil && e.digest() == digest })
	if i < 0 {
		c.mu.Unlock()
		return false, nil
	}
	e := c.entries[i]
	old := e.model
	c.mu.Unlock()
	for {
		c.mu.Lock()
		is, news := e.model, c.changed
		e.renew = is == old
		c.mu.Unlock()
		if is != old {
			m, err := c.useEntry(ctx, e)
			if err == nil {
				c.release(m)
			}
			return err == nil, err
		}
		c.wakeLoader()
		select {
		case <-news:
		case <-ctx.Done():
			c.mu.Lock()
			if e.model == old { // nobody waits for it to be loaded anew
				e.renew = false
			}
			c.mu.Unlock()
			return false, ctx.Err()
		}
	}
}
