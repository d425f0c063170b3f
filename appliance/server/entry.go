package server

import (
	"errors"
	"slices"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// ErrCrowded is wrapped by a Loader's error for a model that has no room beside those that
// are loaded, and would have it without them.
var ErrCrowded = errors.New("no room beside the models that are loaded")

// entry is a model that may be asked: unloaded, on its way or in memory. All of it is
// guarded by Core.mu.
type entry struct {
	of     infer.Model // as the loader has it; the zero Model for a default that is not here yet
	main   bool        // the default, which is loaded without being asked
	pinned bool        // so is this, and it stays
	wanted bool        // to be loaded though no request waits for it

	model    *loadedModel // nil while it is not in memory
	state    status.State
	progress status.Progress
	since    time.Time     // when the step in progress began
	again    bool          // it is not in memory, and requests wait for it to be loaded
	failed   error         // why it could not be loaded, nil once it was
	pause    time.Duration // before it is tried again
	retry    time.Time     // when that is
	crowded  error         // why it was found to have no room, nil since something was unloaded
	keep     time.Duration // how long it stays after its last use; < 0: for ever
	renew    bool          // it is to go once nobody uses it, since its files have changed
}

// name of the model for people.
func (e *entry) name() string {
	switch {
	case e.model != nil:
		return e.model.Info.Name
	case e.of.Name != "":
		return e.of.Name
	}
	return "the default model"
}

// digest of the model's bundle, "" where it is not known yet.
func (e *entry) digest() string {
	if e.model != nil {
		return e.model.Info.Digest
	}
	return e.of.Digest
}

// ready has nothing stand of how the model came into memory.
func (e *entry) ready() {
	e.state, e.progress, e.failed, e.pause, e.crowded, e.again = status.Ready, status.Progress{}, nil, 0, nil, false
}

// expires is when the model goes if nobody asks any more, zero for never or where it is not
// loaded. One in use goes that much later than now.
func (e *entry) expires(now time.Time) time.Time {
	switch m := e.model; {
	case m == nil, e.pinned, e.keep < 0:
		return time.Time{}
	case m.users > 0:
		return now.Add(e.keep).UTC()
	default:
		return m.used.Add(e.keep).UTC()
	}
}

// main is the default model's entry.
func (c *Core) main() *entry { return c.entries[0] }

// loaded are the entries of the models in memory: the default first, then the one that was
// used last. The caller holds mu.
func (c *Core) loaded() (all []*entry) {
	for _, e := range c.entries {
		if e.model != nil {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *entry) int {
		switch {
		case a.main != b.main && a.main:
			return -1
		case a.main != b.main:
			return 1
		}
		return b.model.used.Compare(a.model.used)
	})
	return all
}

// entryFor returns the entry of a model that the loader has named, which is made where there is
// none. The caller holds mu.
func (c *Core) entryFor(of infer.Model) *entry {
	if of.Digest == "" {
		return c.main()
	}
	for _, e := range c.entries {
		if e.digest() == of.Digest {
			if e.model == nil {
				e.of = of
			}
			return e
		}
	}
	e := &entry{of: of, state: status.Unloaded, again: true, keep: c.keepConf}
	c.entries = append(c.entries, e)
	return e
}

// current is the entry that stands for e's model now: another where e was merged into it since
// it was found. The caller holds mu.
func (c *Core) current(e *entry) *entry {
	if slices.Contains(c.entries, e) {
		return e
	}
	return c.entryFor(e.of)
}

// entryOf returns the entry of the model that a request names, "" for the default, or an
// *infer.Error.
func (c *Core) entryOf(name string) (*entry, error) {
	if name == "" {
		return c.main(), nil
	}
	of, err := c.opt.Loader.Resolve(name) // which may read the disk
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		return c.entryFor(of), nil
	}
	main := c.main()
	if main.model != nil && named(main.model.Info.Name, name) {
		return main, nil
	}
	if main.digest() == "" {
		if err := c.unusable(main); err != nil { // what there will be is not known yet
			return nil, err
		}
	}
	return nil, err
}

// entryOfBundle returns the entry of the model with a bundle's id, nil where there is none.
func (c *Core) entryOfBundle(digest string) *entry {
	c.mu.Lock()
	i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.digest() == digest })
	var e *entry
	if i >= 0 {
		e = c.entries[i]
	}
	c.mu.Unlock()
	if e != nil || digest == "" {
		return e
	}
	for _, of := range c.opt.Loader.Models() {
		if of.Digest == digest {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.entryFor(of)
		}
	}
	return nil
}

// hold keeps the models in memory where they are until they are given back by unuse.
func (c *Core) hold() (held []*loadedModel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.loaded() {
		e.model.users++
		held = append(held, e.model)
	}
	return held
}

// Models on this board, the loaded ones first, of those the default.
func (c *Core) Models() []infer.Model {
	var out []infer.Model
	c.mu.Lock()
	for _, e := range c.loaded() {
		out = append(out, e.info(time.Now()))
	}
	c.mu.Unlock()
	others := c.opt.Loader.Models()
	for i := range out { // a model in memory has the name that it is listed by
		of := func(o infer.Model) bool { return o.Digest == out[i].Digest }
		if k := slices.IndexFunc(others, of); k >= 0 {
			out[i].Name = others[k].Name
		}
	}
	for _, o := range others {
		// A name stands for one model: what is loaded, else what is found first.
		if !slices.ContainsFunc(out, func(a infer.Model) bool { return a.Name == o.Name }) {
			out = append(out, o)
		}
	}
	return out
}

// info of a model in memory. The caller holds mu.
func (e *entry) info(now time.Time) infer.Model {
	info := e.model.Info
	info.Expires, info.Pinned = e.expires(now), e.pinned
	return info
}

// Resolve returns the model that is meant by a name, with what is in force of it where it is
// loaded.
func (c *Core) Resolve(name string) (infer.Model, error) {
	of, err := c.opt.Loader.Resolve(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.loaded() {
		switch {
		case err == nil && of.Digest == e.digest(), e.main && (name == "" || err != nil && named(e.model.Info.Name, name)):
			info := e.info(time.Now())
			if of.Name != "" {
				info.Name = of.Name
			}
			return info, nil
		}
	}
	return of, err
}
