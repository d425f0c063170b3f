package server

import (
	"context"

	"skerry/appliance/infer"
)

// Await returns once the default model is loaded, with why it could not be, or when ctx ends. What
// fails is tried again all the same.
func (c *Core) Await(ctx context.Context) error {
	for {
		c.mu.Lock()
		m, err, news := c.main().model, c.main().failed, c.changed
		c.mu.Unlock()
		if m != nil || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cancel ends the answer that is under way in a session, for good and as it is, and returns
// without waiting for its end. Where none is under way nothing happens; a session of
// another's is Forbidden.
func (c *Core) Cancel(by infer.By, session string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pendings {
		if session != "" && p.Session() == session && by.May(p.request.By.Owner) {
			p.cancel(errCancelled)
		}
	}
	j := c.sessions[session]
	switch {
	case session == "" || j == nil || !j.ended.IsZero() || j.cancel == nil:
		return nil
	case !by.May(j.owner):
		return refuseOthers(session)
	}
	j.cancel(errCancelled)
	return nil
}

// Interrupt cuts the answers under way, as Shutdown does once its time is over: those of
// sessions stay open in the journal. Nothing is answered any more.
func (c *Core) Interrupt() { c.cutAll(errStopping) }

// Delivered notes that all of a session's whole answer has reached its reader; see
// Options.Undelivered. It is not durable at once: where a power cut undoes it the answer is
// given once more.
func (c *Core) Delivered(session string) error {
	c.mu.Lock()
	j := c.sessions[session]
	c.mu.Unlock()
	if j == nil || j.kept == nil {
		return nil
	}
	return j.kept.delivered()
}
