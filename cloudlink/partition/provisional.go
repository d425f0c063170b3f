package partition

import (
	"fmt"

	"skerry/cloudlink/wire"
)

// Until the handshake is confirmed, what comes may be a replay of what someone
// overheard (RFC 8446 section 8): it counts as the work of a device of its own,
// and only once it is confirmed the named device pays for it.

// provisional returns the account that pays for the work of c: its device's, or before
// the handshake is confirmed the one that stands for everybody in that state.
func (c *connection) provisional() *account {
	if c.confirmed() {
		return c.account
	}
	return c.srv.unconfirmed
}

// confirm moves t and what was computed for it to the account of its device. It
// is refused when that has too many sessions.
func (s *scheduler) confirm(t *tail, a *account) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := t.device.account
	if t.closed || old == a {
		return nil
	}
	old.sessions.Add(-1)
	s.charge(t, a)
	for _, o := range s.tails { // what another connection had until now
		if o.key == t.key && o.detached && !o.closed {
			s.evict(o)
			o.spill = false // the session goes on without it
		}
	}
	s.spend(t, t.uncharged, s.clock())
	t.uncharged = 0
	if n := a.sessions.Add(1); n > int64(a.quota.Sessions) {
		return &wire.Error{Code: wire.CodeBusy, RetryAfter: s.retryAfter(s.clock()), Text: fmt.Sprintf(
			"the device has %d sessions open, which is over its quota", n)}
	}
	return nil
}
