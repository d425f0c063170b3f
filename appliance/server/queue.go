package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Requests for a model that is not in memory wait in one queue, in the order in which they
// came, for the loader to bring it there (load.go). While the first of them has no room
// beside models that are in use, a few requests more are let in to those, and the others
// wait behind it: so a busy model starves no other.
const (
	// passes and passing are how many requests, and for how long, may be let in before one
	// that has no room.
	passes  = 8
	passing = 10 * time.Second
	// waitingDefault is how many requests may wait for their models.
	waitingDefault = 64
)

// waiter is a request that waits for its model.
type waiter struct {
	entry *entry
	asks  bool           // it is to be answered, and says how long the model stays after it
	keep  *time.Duration // that; nil: as configured
	since time.Time
	got   chan granted  // one is sent
	moved chan int      // the newest number of those before it
	ahead int           // as last told, -1: never
	shown chan struct{} // closed once it waits for other models than its own
}

// granted is what a waiter gets: the model, to be released, or why there is none.
type granted struct {
	m   *loadedModel
	err error
}

// want has a request wait for a model, which it may be given at once. The error is an
// *infer.Error, or ctx's.
func (c *Core) want(ctx context.Context, e *entry, asks bool, keep *time.Duration) (*waiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteAsked()
	e = c.current(e)
	if err := cmp.Or(ctx.Err(), c.unusable(e)); err != nil {
		return nil, err
	}
	w := &waiter{entry: e, asks: asks, keep: keep, since: time.Now(), got: make(chan granted, 1), moved: make(chan int, 1), ahead: -1, shown: make(chan struct{})}
	if e.model != nil && c.admits(e) {
		c.grant(w)
		return w, nil
	}
	if n := len(c.queue); n >= c.opt.Waiting {
		return nil, &infer.Error{Code: infer.Busy, RetryAfter: passing, Message: "the queue is full: " + status.Plural(n, "request") + " wait for their models; ask again in a moment"}
	}
	c.queue = append(c.queue, w)
	c.tellQueue()
	c.wakeLoader()
	return w, nil
}

// unusable says why a model cannot be waited for now, nil also where it is to be loaded.
// The caller holds mu.
func (c *Core) unusable(e *entry) error {
	switch {
	case c.stopping:
		return errStopping
	case e.model != nil:
		return nil
	case e.failed != nil && (e.main || time.Now().Before(e.retry)): // also while it is tried again
		return e.failure()
	case e.again:
		return nil
	}
	err := infer.Errorf(infer.Loading, "model", "the model is not loaded yet (%s): ask again in a moment", e.progress.What)
	if e.progress.What == "" {
		err = infer.Errorf(infer.Loading, "model", "the model is not loaded yet: ask again in a moment")
	}
	err.RetryAfter = retryLoading
	return err
}

// failure is what those are told who ask a model that could not be loaded.
func (e *entry) failure() error {
	if e.main {
		return infer.Errorf(infer.Unavailable, "model", "no model is loaded: %s", oneLine(e.failed))
	}
	err := infer.Errorf(infer.Unavailable, "model", "model %s cannot be loaded: %s", e.name(), oneLine(e.failed))
	err.RetryAfter = e.pause
	return err
}

// admits says whether a request for a model in memory is let in at once. The caller holds mu.
func (c *Core) admits(e *entry) bool {
	switch {
	case slices.ContainsFunc(c.queue, func(w *waiter) bool { return w.entry == e }): // who came before
		return false
	case c.blocked == nil || e.pinned:
		return true
	case c.passed >= passes || time.Since(c.blockedSince) >= passing:
		return false
	}
	c.passed++
	return true
}

// grant gives a waiter the model, which is there. The caller holds mu.
func (c *Core) grant(w *waiter) {
	e := w.entry
	e.model.users++
	if w.asks {
		e.keep = c.keepConf
		if w.keep != nil {
			e.keep = *w.keep
		}
	}
	w.got <- granted{m: e.model}
}

// grantWaiting gives those who wait for models in memory theirs. Behind one that waits for a
// model which is not, only so many are let in. The caller holds mu.
func (c *Core) grantWaiting() {
	let, others := 0, false
	c.queue = slices.DeleteFunc(c.queue, func(w *waiter) bool {
		e := w.entry
		switch {
		case e.model == nil:
			others = true
			return false
		case e.pinned || !others:
		case c.blocked != nil || let >= passes:
			return false
		}
		if others {
			let++
		}
		c.grant(w)
		return true
	})
	c.tellQueue()
}

// refuse tells those who wait for a model, nil for any, that they do not get it. The caller
// holds mu.
func (c *Core) refuse(e *entry, err error) {
	c.queue = slices.DeleteFunc(c.queue, func(w *waiter) bool {
		if e != nil && w.entry != e {
			return false
		}
		w.got <- granted{err: err}
		return true
	})
	c.tellQueue()
}

// abandon takes a waiter out of the queue, or gives back what it was just given.
func (c *Core) abandon(w *waiter) {
	c.mu.Lock()
	n := len(c.queue)
	c.queue = slices.DeleteFunc(c.queue, func(x *waiter) bool { return x == w })
	gone := len(c.queue) < n
	c.tellQueue()
	c.mu.Unlock()
	if !gone {
		if g := <-w.got; g.m != nil {
			c.release(g.m)
		}
	}
	c.wakeLoader() // a model that nobody waits for any more may go
}

// tellQueue tells those who wait how many are before them. The caller holds mu.
func (c *Core) tellQueue() {
	for i, w := range c.queue {
		if !w.isShown() && (c.blocked != nil || c.queue[0].entry != w.entry || c.loading != nil && c.loading != w.entry) {
			close(w.shown)
		}
		if w.ahead == i {
			continue
		}
		w.ahead = i
		select {
		case <-w.moved: // it has not seen the last
		default:
		}
		w.moved <- i
	}
}

func (w *waiter) isShown() bool {
	select {
	case <-w.shown:
		return true
	default:
		return false
	}
}

// await returns the model that a waiter waits for.
func (c *Core) await(ctx context.Context, w *waiter) (*loadedModel, error) {
	select {
	case g := <-w.got:
		return g.m, g.err
	case <-ctx.Done():
		c.abandon(w)
		return nil, ctx.Err()
	}
}

// use returns the model of a name, to be released, or an *infer.Error. One that is not in
// memory is waited for; the default is not while it is loaded for the first time.
func (c *Core) use(ctx context.Context, name string) (*loadedModel, error) {
	e, err := c.entryOf(name)
	if err != nil {
		return nil, err
	}
	return c.useEntry(ctx, e)
}

func (c *Core) useEntry(ctx context.Context, e *entry) (*loadedModel, error) {
	w, err := c.want(ctx, e, false, nil)
	if err != nil {
		return nil, err
	}
	return c.await(ctx, w)
}

// release gives a model back that was used.
func (c *Core) release(m *loadedModel) {
	c.mu.Lock()
	m.used = time.Now()
	c.mu.Unlock()
	c.unuse(m)
}

// unuse gives a model back that was looked at.
func (c *Core) unuse(m *loadedModel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.users--; m.users == 0 {
		c.wakeLoader()
	}
}
