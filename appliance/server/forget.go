package server

import "skerry/appliance/infer"

// Forget deletes a session that is not being answered: from memory, from the cache of
// prefixes and from the journal, durably. The journal comes last, so that a Forget that
// was cut can be repeated.
func (c *Core) Forget(by infer.By, id string) error {
	if _, _, _, err := c.find(by, id); err != nil {
		return err
	}
	c.mu.Lock()
	j := c.sessions[id]
	if j == nil {
		j = c.jobs[id]
	}
	if j != nil && j.ended.IsZero() {
		c.mu.Unlock()
		return infer.Errorf(infer.Conflict, "session", "session %s is being answered: wait for the answer's end", id)
	}
	for _, j := range c.jobs {
		if j.Session() == id {
			c.remove(j)
		}
	}
	c.mu.Unlock()
	for _, m := range c.hold() {
		m.Slots.Forget(id)
		c.unuse(m)
	}
	if c.opt.Forget != nil {
		if err := c.opt.Forget(id); err != nil {
			return infer.Errorf(infer.Internal, "session", "session %s is not forgotten: %v", id, err)
		}
	}
	if c.opt.Journal == nil {
		return nil
	}
	return c.opt.Journal.Delete(id)
}
