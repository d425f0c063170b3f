package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// loadedModel is a model in memory, and how many requests use it.
type loadedModel struct {
	*Model
	users int       // guarded by Core.mu
	used  time.Time // when the last of them left; guarded by Core.mu
	noted sync.Once // a request's note was logged
}

// Between two tries to load a model that is not there.
const (
	firstRetry   = 5 * time.Second
	longestRetry = time.Minute
)

// retryLoading is when to ask again while the model loads.
const retryLoading = 2 * time.Second

// keepLoaded loads and unloads models, one at a time, until the end: the default and the
// pinned ones without being asked, again when they were not to be had, the others as
// requests wait for them. What has to go for another is the one that was used least recently
// of those that nobody uses.
func (c *Core) keepLoaded() {
	for {
		c.mu.Lock()
		s := c.next(time.Now())
		c.mu.Unlock()
		switch {
		case s.close != nil:
			s.close.close()
		case s.load != nil:
			c.load(s.load)
		case s.over:
			return
		case c.life.Err() != nil:
			<-c.wake // of the last user
		default:
			c.pause(s.wait)
		}
	}
}

// step is what the loader does next: the first of these that is set.
type step struct {
	close *Model
	load  *entry
	over  bool
	wait  time.Duration
}

// next decides what is to be done now. A model that is to be closed is out of use already.
// The caller holds mu.
func (c *Core) next(now time.Time) step {
	ended, wait, there := c.life.Err() != nil, time.Hour, false
	for _, e := range c.entries {
		m := e.model
		if m == nil {
			continue
		}
		there = true
		switch {
		case m.users > 0:
		case ended:
			return step{close: c.takeOut(e, "")}
		case e.renew:
			return step{close: c.takeOut(e, "its files have changed")}
		case !e.pinned && e.keep >= 0:
			left := e.keep - now.Sub(m.used)
			if left <= 0 {
				return step{close: c.takeOut(e, unusedFor(e.keep))}
			}
			wait = min(wait, left)
		}
	}
	if ended {
		return step{over: !there}
	}
	e, since, left := c.wantedNow(now)
	if e == nil || e.crowded == nil {
		c.block(nil, since)
		c.grantWaiting()
		return step{load: e, wait: min(wait, left)}
	}
	if victim := c.victim(); victim != nil {
		return step{close: c.takeOut(victim, "room for "+e.name())}
	}
	if !slices.ContainsFunc(c.entries, func(o *entry) bool { return o.model != nil && !o.pinned }) {
		c.fail(e, e.crowded)
		return step{wait: 0}
	}
	c.block(e, since) // until one of those in use is given back
	c.grantWaiting()
	return step{wait: wait}
}

func unusedFor(keep time.Duration) string {
	if keep == 0 {
		return "it was to go after its last use"
	}
	return "nobody has used it for " + keep.String()
}

// wantedNow returns the model that is to be loaded first, nil for none, since when it is
// waited for, and after what time another may be. The caller holds mu.
func (c *Core) wantedNow(now time.Time) (first *entry, since time.Time, left time.Duration) {
	left = time.Hour
	if c.stopping {
		return nil, since, left
	}
	due := func(e *entry) bool {
		if e.model != nil {
			return false
		}
		if d := e.retry.Sub(now); d > 0 {
			left = min(left, d)
			return false
		}
		return true
	}
	for _, w := range c.queue {
		if due(w.entry) {
			return w.entry, w.since, left
		}
	}
	for _, e := range c.entries {
		if e.wanted && due(e) {
			return e, now, left
		}
	}
	return nil, since, left
}

// victim is the model that goes where another needs its room: the least recently used of
// those that nobody uses; nil for none. The caller holds mu.
func (c *Core) victim() (victim *entry) {
	for _, e := range c.entries {
		if e.model != nil && e.model.users == 0 && !e.pinned && (victim == nil || e.model.used.Before(victim.model.used)) {
			victim = e
		}
	}
	return victim
}

// block notes which model has no room beside those in use, nil for none. The caller holds mu.
func (c *Core) block(e *entry, since time.Time) {
	if c.blocked == e {
		return
	}
	if e != nil {
		c.passed, c.blockedSince = 0, since
		c.opt.Log.Info("a model waits until others are free to go", "model", e.name(), "why", oneLine(e.crowded))
	}
	c.blocked = e
	c.tellQueue()
}

// takeOut takes a model out of use, to be closed. The caller holds mu.
func (c *Core) takeOut(e *entry, why string) *Model {
	m := e.model
	if why != "" {
		c.opt.Log.Info("the model is unloaded", "model", m.Info.Name, "why", why)
	}
	if !e.main || e.of.Digest == "" {
		name := e.of.Name
		if e.of = m.Info; name != "" {
			e.of.Name = name
		}
		e.of.Loaded, e.of.LoadedBytes = false, 0
	}
	e.model, e.wanted, e.again, e.renew, e.keep, e.state = nil, e.pinned, true, false, c.keepConf, status.Unloaded
	for _, o := range c.entries {
		o.crowded = nil
	}
	c.announce()
	return m.Model
}

// load brings a model into memory.
func (c *Core) load(e *entry) {
	c.mu.Lock()
	of := e.of
	c.loading = e
	c.tellQueue()
	c.mu.Unlock()
	var m *Model
	var err error
	if e.main { // whose files may be others by now
		if of, err = c.opt.Loader.Resolve(""); err == nil && c.takeOver(e, of.Digest) {
			return
		}
	}
	if err == nil {
		m, err = c.opt.Loader.Load(c.life, of, func(s status.State, p status.Progress) { c.report(e, s, p) })
	}
	c.mu.Lock()
	c.loading = nil
	spare := false               // the same is in use already
	ended := c.life.Err() != nil // the end may come any moment: what is in use is closed by next, the rest here
	switch {
	case ended:
	case errors.Is(err, ErrCrowded):
		e.crowded, e.progress = err, status.Progress{}
		if e.again {
			e.state = status.Unloaded
		}
	case err != nil:
		c.fail(e, err)
	default:
		spare = e.main && c.adoptLoaded(e, m.Info.Digest)
		if !spare {
			c.put(e, m)
		}
	}
	c.mu.Unlock()
	switch {
	case err == nil && (ended || spare):
		m.close()
	case err == nil && e.main:
		c.pinMore()
	}
}

// put puts a model into use that was loaded. The caller holds mu.
func (c *Core) put(e *entry, m *Model) {
	e.ready()
	if e.main {
		e.of = infer.Model{Name: m.Info.Name, Digest: m.Info.Digest, Path: m.Info.Path}
		c.merge(e)
	}
	e.model = &loadedModel{Model: m, used: time.Now()}
	m.setThreads(c.threads)
	if len(m.Modes) > 0 {
		c.opt.Log.Info("the model is loaded", "model", m.Info.Name, "mode", m.Modes[0], "context", m.Info.Context)
	}
	c.grantWaiting()
	c.announce()
}

// takeOver is adoptLoaded for the loader, which has nothing to load where it is true.
func (c *Core) takeOver(main *entry, digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.adoptLoaded(main, digest) {
		return false
	}
	c.loading = nil
	c.tellQueue()
	return true
}

// adoptLoaded has the default model be the one of a bundle's id that was loaded by its name
// before it was known to be the default; false where there is none. The caller holds mu.
func (c *Core) adoptLoaded(main *entry, digest string) bool {
	i := slices.IndexFunc(c.entries, func(o *entry) bool { return o != main && o.model != nil && o.digest() == digest })
	if i < 0 {
		return false
	}
	o := c.entries[i]
	main.ready()
	main.of = infer.Model{Name: o.model.Info.Name, Digest: digest, Path: o.model.Info.Path}
	main.model, main.keep, main.renew = o.model, o.keep, o.renew
	o.model = nil
	c.merge(main)
	c.grantWaiting()
	c.announce()
	return true
}

// merge has the default model's entry stand for one that was made by the model's name before
// it was known that it is the default. The caller holds mu.
func (c *Core) merge(main *entry) {
	c.entries = slices.DeleteFunc(c.entries, func(e *entry) bool {
		if e == main || e.model != nil || e.of.Digest != main.of.Digest {
			return false
		}
		main.pinned = main.pinned || e.pinned
		for _, w := range c.queue {
			if w.entry == e {
				w.entry = main
			}
		}
		return true
	})
}

// fail notes why a model could not be loaded, and tells those who wait for it. The caller
// holds mu.
func (c *Core) fail(e *entry, err error) {
	e.pause = min(max(firstRetry, 2*e.pause), longestRetry)
	e.failed, e.retry, e.crowded, e.progress = err, time.Now().Add(e.pause), nil, status.Progress{}
	if e.main { // also where it went and a request wanted it back: requests do not wait for it now
		e.state, e.again, e.wanted = status.NoModel, false, true
		c.opt.Log.Error("no model", "error", err)
	} else {
		e.state = status.Unloaded
		c.opt.Log.Error("a model could not be loaded", "model", e.name(), "error", err, "again_in", e.pause)
	}
	c.refuse(e, e.failure())
	c.announce()
}

func (m *Model) close() {
	m.Slots.Close()
	m.Close()
}

// pause waits for a while, a call of wakeLoader or the end.
func (c *Core) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.wake:
	case <-c.life.Done():
	}
}

// wakeLoader has the loader look again.
func (c *Core) wakeLoader() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// retryNow has models that could not be loaded be tried again at once. The caller holds mu.
func (c *Core) retryNow() {
	for _, e := range c.entries {
		e.retry = time.Time{}
	}
	c.wakeLoader()
}

// announce wakes who waits for a change of state. The caller holds mu.
func (c *Core) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// report takes in how far the loader is with a model.
func (c *Core) report(e *entry, s status.State, p status.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return
	}
	if p.What != e.progress.What {
		e.since = time.Now()
	}
	if p.Share > 0 {
		p.ETAs = time.Since(e.since).Seconds() * (1 - p.Share) / p.Share
	}
	e.state, e.progress = s, p
}

// named says whether a client that asks for a name may mean the model: tags, as
// Ollama's clients have them, and case do not matter.
func named(model, asked string) bool {
	_, err := infer.ByName([]infer.Model{{Name: model}}, asked)
	return err == nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Load has a model loaded and sets how long it stays after its last use: < 0 for ever, 0 to
// unload it once nobody uses it. That holds until the next request that is answered, which
// says anew how long.
func (c *Core) Load(ctx context.Context, name string, keep time.Duration) error {
	e, err := c.entryOf(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	e = c.current(e)
	switch {
	case e.pinned && keep >= 0:
		c.mu.Unlock()
		return infer.Errorf(infer.BadRequest, "keep_alive", "model %s is pinned, and stays loaded: take it out of the setting pin to have it unloaded", e.name())
	case e.model != nil:
		if e.keep = keep; keep != 0 {
			e.model.used = time.Now()
		}
		c.wakeLoader()
		c.mu.Unlock()
		return nil
	case keep == 0 && e.again && c.loading != e && !slices.ContainsFunc(c.queue, func(w *waiter) bool { return w.entry == e }):
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	return c.preload(ctx, e, &keep)
}

// preload has a model loaded that stays for so long, nil: as configured.
func (c *Core) preload(ctx context.Context, e *entry, keep *time.Duration) error {
	w, err := c.want(ctx, e, true, keep)
	if err != nil {
		return err // of a model that is not there yet
	}
	m, err := c.await(ctx, w)
	if err == nil {
		c.release(m)
	}
	return err
}

// Wake has a model loaded; it stays as configured.
func (c *Core) Wake(ctx context.Context, name string) error {
	e, err := c.entryOf(name)
	if err != nil {
		return err
	}
	return c.preload(ctx, e, nil)
}

// Pull fetches and prepares a model, and has the loader look again where there was
// none.
func (c *Core) Pull(ctx context.Context, name string, progress func(infer.Progress)) error {
	err := c.opt.Loader.Pull(ctx, name, progress)
	if err == nil {
		c.pinMore()
	}
	c.mu.Lock()
	c.retryNow()
	c.mu.Unlock()
	return err
}
