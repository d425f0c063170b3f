package cloudlink

import (
	"context"
	"sync"
	"time"

	"skerry/cloudlink/wire"
)

// lifeProtocol is the first protocol version with Ping and Status.
const lifeProtocol = 2

// maxProbes is how many unanswered probes are remembered.
const maxProbes = 64

// hooks let a Link see what happens on its Client. They must not block.
type hooks struct {
	pong  func(rtt time.Duration)
	drain func(grace time.Duration)
}

// probes are the pings of one client that wait for a pong.
type probes struct {
	out     *wire.Outbox  // frames for the control stream
	welcome chan struct{} // closed once the cloud has said hello
	first   sync.Once     // closes it

	mu   sync.Mutex // guards all following
	next uint64
	sent map[uint64]time.Time
}

func newProbes() *probes {
	return &probes{out: wire.NewOutbox(64 << 10), welcome: make(chan struct{}), sent: map[uint64]time.Time{}}
}

// writeControl owns the sending half of the control stream after Hello.
func (c *Client) writeControl(control Stream) {
	for {
		b := c.probes.out.Take()
		if b == nil {
			return
		}
		if _, err := control.Write(b); err != nil {
			return // the reader learns why
		}
	}
}

// ping sends a probe. Before the cloud has said hello there is none to send.
func (c *Client) ping() {
	switch w, ok := c.Welcome(); {
	case !ok:
		return
	case w.Protocol < lifeProtocol:
		c.nudge()
		return
	}
	p := c.probes
	p.mu.Lock()
	p.next++
	n := p.next
	p.sent[n] = time.Now()
	delete(p.sent, n-maxProbes)
	p.mu.Unlock()
	p.out.Put(&wire.Ping{Number: n})
}

// nudge makes an older cloud acknowledge something: a stream that is reset
// before anything was written to it, which such a cloud ignores.
func (c *Client) nudge() {
	ctx, cancel := context.WithTimeout(context.Background(), vigilTick)
	defer cancel()
	if s, err := c.conn.OpenUniStream(ctx, UrgencyControl); err == nil {
		s.CancelWrite(CodeBranch)
	}
}

// ponged takes the answer to a probe.
func (c *Client) ponged(m *wire.Pong) {
	p := c.probes
	p.mu.Lock()
	at, ok := p.sent[m.Number]
	delete(p.sent, m.Number)
	p.mu.Unlock()
	if ok && c.conf.hooks.pong != nil {
		c.conf.hooks.pong(time.Since(at))
	}
}

// report sends a status and reports whether the cloud takes such.
func (c *Client) report(m *wire.Status) bool {
	if w, ok := c.Welcome(); !ok || w.Protocol < lifeProtocol {
		return false
	}
	return c.probes.out.Put(m) == nil
}

// attached returns the sessions of now.
func (c *Client) attached() []*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	sessions := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	return sessions
}

// owed returns how many asks wait for an answer, and whether rows wait for a
// receipt.
func (c *Client) owed() (asks int, rows bool) {
	for _, s := range c.attached() {
		n, unconfirmed := s.owed()
		asks += n
		rows = rows || unconfirmed
	}
	return asks, rows
}

// owed returns how many asks wait, and whether rows are not confirmed.
func (s *Session) owed() (asks int, rows bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.at != nil && s.lineage.confirmed < s.rows.end()
}

// stir tells the session's Link that the cloud is wanted.
func (s *Session) stir() {
	if s.opt.stir != nil {
		s.opt.stir()
	}
}
