package server

import (
	"cmp"
	"context"
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

// keepLoaded loads the model, again when it was not to be had or was unloaded,
// until the end.
func (c *Core) keepLoaded() {
	pause := firstRetry
	for c.awaitWanted() {
		m, err := c.loadDefault()
		switch {
		case c.life.Err() != nil:
			if err == nil {
				m.close()
			}
			return
		case err != nil:
			c.opt.Log.Error("no model", "error", err)
			c.set(status.NoModel, nil, err)
			c.pause(pause)
			pause = min(2*pause, longestRetry)
			continue
		}
		pause = firstRetry
		c.opt.Log.Info("the model is loaded", "model", m.Info.Name, "mode", m.Modes[0], "context", m.Info.Context)
		c.set(status.Ready, &loadedModel{Model: m, used: time.Now()}, nil)
		c.awaitUnload()
		m.close()
	}
}

// loadDefault brings the default model into memory.
func (c *Core) loadDefault() (*Model, error) {
	of, err := c.opt.Loader.Resolve("")
	if err != nil {
		return nil, err
	}
	return c.opt.Loader.Load(c.life, of, c.report)
}

func (m *Model) close() {
	m.Slots.Close()
	m.Close()
}

// pause waits for a while, a call of wakeLoader or the end.
func (c *Core) pause(d time.Duration) {
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

// awaitWanted returns true once a model is wanted, false at the end.
func (c *Core) awaitWanted() bool {
	for c.life.Err() == nil {
		c.mu.Lock()
		wanted := c.wanted
		c.mu.Unlock()
		if wanted {
			return true
		}
		c.pause(time.Hour)
	}
	return false
}

// awaitUnload takes the model out of use once its time is over and nobody uses it,
// or everything ends.
func (c *Core) awaitUnload() {
	for {
		c.mu.Lock()
		m, left := c.model, time.Hour
		if c.keep >= 0 && m.users == 0 && c.waiting == 0 {
			left = c.keep - time.Since(m.used)
		}
		if left <= 0 || c.life.Err() != nil && m.users == 0 {
			c.model, c.wanted, c.again, c.keep = nil, false, true, c.keepConf
			c.state = status.Unloaded
			c.announce()
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if c.life.Err() != nil {
			<-c.wake // of the last user
			continue
		}
		c.pause(left)
	}
}

// announce wakes who waits for a change of state. The caller holds mu.
func (c *Core) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// report takes in how far the loader is.
func (c *Core) report(s status.State, p status.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return
	}
	if p.What != c.progress.What {
		c.since = time.Now()
	}
	if p.Share > 0 {
		p.ETAs = time.Since(c.since).Seconds() * (1 - p.Share) / p.Share
	}
	c.state, c.progress = s, p
}

func (c *Core) set(s status.State, m *loadedModel, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.progress, c.model, c.failed, c.again = s, status.Progress{}, m, err, false
	if m != nil {
		m.setThreads(c.threads)
	}
	c.announce()
}

// use returns the model, to be released, or an *infer.Error. One that was unloaded
// is waited for; the first one is not.
func (c *Core) use(ctx context.Context, name string) (*loadedModel, error) {
	for waited := 0; ; waited = 1 {
		c.mu.Lock()
		c.noteAsked()
		c.waiting -= waited
		m, err, news := c.model, cmp.Or(ctx.Err(), c.unusable(name)), c.changed
		switch {
		case err != nil:
			if waited > 0 {
				c.wakeLoader() // a model that nobody waits for any more may go
			}
		case m != nil:
			m.users++
		default:
			c.wanted = true
			c.waiting++
			c.wakeLoader()
		}
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if m != nil {
			return m, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

// unusable says why a model cannot be used now; nil also where it is to be loaded
// again. The caller holds mu.
func (c *Core) unusable(name string) error {
	switch {
	case c.stopping:
		return errStopping
	case c.model != nil && !named(c.model.Info.Name, name):
		return infer.Errorf(infer.NoModel, "model", "model %q is not loaded here: ask for %s, or leave the name out", name, c.model.Info.Name)
	case c.model != nil || c.state == status.Unloaded || c.again:
		return nil
	case c.failed != nil: // also while it is tried again
		return infer.Errorf(infer.Unavailable, "model", "no model is loaded: %s", oneLine(c.failed))
	}
	err := infer.Errorf(infer.Loading, "model", "the model is not loaded yet (%s): ask again in a moment", c.progress.What)
	if c.progress.What == "" {
		err = infer.Errorf(infer.Loading, "model", "the model is not loaded yet: ask again in a moment")
	}
	err.RetryAfter = retryLoading
	return err
}

// named says whether a client that asks for a name may mean the model: tags, as
// Ollama's clients have them, and case do not matter.
func named(model, asked string) bool {
	bare, _, _ := strings.Cut(asked, ":")
	return asked == "" || strings.EqualFold(model, asked) || strings.EqualFold(model, bare)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

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

// Load has the model loaded and sets how long it stays after its last use: < 0 for
// ever, 0 to unload it once nobody uses it. It holds until the model is unloaded; one
// that is loaded again stays as configured.
func (c *Core) Load(ctx context.Context, name string, keep time.Duration) error {
	c.mu.Lock()
	if c.model == nil && keep == 0 && c.state == status.Unloaded {
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	m, err := c.use(ctx, name)
	if err != nil {
		return err // another model's time, or that of one which is not there yet, is not this one's
	}
	c.mu.Lock()
	c.keep = keep
	c.mu.Unlock()
	c.release(m)
	c.wakeLoader()
	return nil
}

// Wake has the model loaded; it stays as it was to.
func (c *Core) Wake(ctx context.Context, name string) error {
	m, err := c.use(ctx, name)
	if err == nil {
		c.release(m)
	}
	return err
}

// Models on this board, the loaded one first.
func (c *Core) Models() []infer.Model {
	c.mu.Lock()
	m := c.model
	c.mu.Unlock()
	var out []infer.Model
	if m != nil {
		out = append(out, m.Info)
	}
	for _, o := range c.opt.Loader.Models() {
		// A name stands for one model: what is loaded, else what is found first.
		if !slices.ContainsFunc(out, func(a infer.Model) bool { return a.Name == o.Name }) {
			out = append(out, o)
		}
	}
	return out
}

// Resolve returns the model that is meant by a name, with what is in force of it where it is
// loaded.
func (c *Core) Resolve(name string) (infer.Model, error) {
	of, err := c.opt.Loader.Resolve(name)
	c.mu.Lock()
	m := c.model
	c.mu.Unlock()
	if m != nil && (err != nil && named(m.Info.Name, name) || err == nil && (of.Digest == m.Info.Digest || name == "")) {
		return m.Info, nil
	}
	return of, err
}

// Pull fetches and prepares a model, and has the loader look again where there was
// none.
func (c *Core) Pull(ctx context.Context, name string, progress func(infer.Progress)) error {
	err := c.opt.Loader.Pull(ctx, name, progress)
	c.wakeLoader()
	return err
}
