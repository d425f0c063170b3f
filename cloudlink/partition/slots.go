package partition

import (
	"time"

	"skerry/cloudlink/wire"
)

// slot returns the slot of a session, made on first use; mu is held.
func (c *connection) slot(id wire.SessionID) *slot {
	sl := c.slots[id]
	if sl == nil {
		sl = &slot{decided: make(chan struct{})}
		c.slots[id] = sl
	}
	return sl
}

// decide lets the uplinks of a session go on, or with nil give up.
func (c *connection) decide(id wire.SessionID, s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sl := c.slot(id)
	select {
	case <-sl.decided:
		if s == nil {
			return // a second Open was refused, the first session goes on
		}
		sl = &slot{}
		c.slots[id] = sl
		sl.decided = make(chan struct{})
	default:
	}
	sl.session = s
	close(sl.decided)
	if s == nil {
		delete(c.slots, id)
	}
}

// leave forgets the slot of an ended session.
func (c *connection) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sl := c.slots[s.key.id]; sl != nil && sl.session == s {
		delete(c.slots, s.key.id)
	}
}

// await returns the session of an uplink once it is open, nil when it is
// refused, does not open in time, or the connection ends. Known says that it is
// not for want of a session of that name.
func (c *connection) await(id wire.SessionID) (s *session, known bool) {
	c.mu.Lock()
	sl := c.slot(id)
	sl.waiting++
	c.mu.Unlock()
	timer := time.NewTimer(firstFrame)
	defer timer.Stop()
	known = true
	select {
	case <-sl.decided:
	case <-timer.C:
		known = false
	case <-c.conn.Context().Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sl.waiting--
	if sl.waiting == 0 && sl.session == nil && c.slots[id] == sl {
		delete(c.slots, id)
	}
	return sl.session, known
}
