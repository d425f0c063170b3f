package server

import (
	"context"
	"errors"
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
		if c.busy > 0 || c.preparing > 0 || c.waiting > 0 {
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

// renewAgain is how often Renew says again that the model is to go: who sets how long models
// stay overrules it.
const renewAgain = 10 * time.Second

// Renew has the model loaded anew once nobody uses it, and waits for that: its files have
// changed. Who asks meanwhile waits too. It returns whether that was done: without a model
// there is nothing to do, since the next load reads the files as they are.
func (c *Core) Renew(ctx context.Context) (renewed bool, err error) {
	c.mu.Lock()
	old := c.model
	c.mu.Unlock()
	if old == nil {
		return false, nil
	}
	for {
		c.mu.Lock()
		is, news := c.model, c.changed
		if is == old {
			c.keep = 0 // until it is unloaded
		}
		c.mu.Unlock()
		if is != old {
			err := c.Wake(ctx, "")
			return err == nil, err
		}
		c.wakeLoader()
		t := time.NewTimer(renewAgain)
		select {
		case <-news:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false, ctx.Err()
		}
		t.Stop()
	}
}
