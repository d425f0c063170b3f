package cloudlink

import (
	"context"
	"sync"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/internal/liveness"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// lifeProtocol is the first protocol version with Ping and Status.
const lifeProtocol = 2

// maxProbes is how many unanswered probes are remembered.
const maxProbes = 64

// hooks let a Link see what happens on its Client. They must not block.
type hooks struct {
	pong   func(rtt time.Duration)
	drain  func(grace time.Duration, others []string)
	breach func(*linkerr.ProtocolError)
	offer  func(wire.Offer)
	// answered says that rows positions took the cloud took.
	answered func(rows int, took time.Duration)
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
func (c *Client) writeControl(control transport.Stream) {
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
	ctx, cancel := context.WithTimeout(context.Background(), liveness.Tick)
	defer cancel()
	if s, err := c.conn.OpenUniStream(ctx, transport.UrgencyControl); err == nil {
		s.CancelWrite(transport.CodeBranch)
	}
}

// ponged takes the answer to a probe. One to a probe that was never sent is a
// breach of the protocol.
func (c *Client) ponged(m *wire.Pong) error {
	p := c.probes
	p.mu.Lock()
	at, ok := p.sent[m.Number]
	delete(p.sent, m.Number)
	last := p.next
	p.mu.Unlock()
	if m.Number > last {
		return linkerr.At(c.conf.Addr, linkerr.Breach("an answer to probe %d, %d were sent", m.Number, last))
	}
	if ok && c.conf.hooks.pong != nil {
		c.conf.hooks.pong(time.Since(at))
	}
	return nil
}

// report sends a status and reports whether the cloud takes such.
func (c *Client) report(m *wire.Status) bool {
	if w, ok := c.Welcome(); !ok || w.Protocol < lifeProtocol {
		return false
	}
	return c.probes.out.Put(m) == nil
}
