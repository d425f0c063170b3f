package httpd

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// gate bounds the connections of one kind of listener, in all and of each client.
// Where there is no room it is the connection that has kept us waiting longest that
// goes, so that those who send nothing, or a byte now and then, lock nobody out;
// only where all are being answered is a new one refused.
//
// Where clients are strangers until they show a key, connections over which nobody has
// yet (handshakes in progress among them) have bounds of their own, a quarter for each
// client and half in all, and go before others, those of the client with most first.
type gate struct {
	most, each int           // each 0: no bound for a client, and nobody is a stranger
	stall      time.Duration // a write that takes longer ends the connection
	now        func() time.Time

	mu    sync.Mutex // guards all following fields, and those of its conns
	conns map[*conn]struct{}
	count map[netip.Addr]int // by client
	new   map[netip.Addr]int // of those, the strangers'
	news  int                // strangers in all
}

func newGate(most, each int, stall time.Duration, now func() time.Time) *gate {
	return &gate{most: most, each: each, stall: stall, now: now, conns: map[*conn]struct{}{}, count: map[netip.Addr]int{}, new: map[netip.Addr]int{}}
}

// mostNew and eachNew are how many strangers there may be, in all and of one client.
func (g *gate) mostNew() int { return max(g.most/2, min(g.most, 8)) }
func (g *gate) eachNew() int { return max(g.each/4, min(g.each, 8)) }

// conn is one that was let in.
type conn struct {
	net.Conn
	gate   *gate
	via    Via
	addr   netip.Addr
	client netip.Addr
	ended  sync.Once // its goroutine was counted out
	// Guarded by gate.mu.
	known  bool      // a request over it was let in
	busy   int       // requests being answered
	since  time.Time // when busy was last 0
	closed bool
}

// admit lets a connection in, nil where there is no room.
func (g *gate) admit(c net.Conn, via Via) *conn {
	n := &conn{Conn: c, gate: g, via: via, addr: addrOf(c.RemoteAddr()), since: g.now()}
	n.client = clientOf(n.addr)
	n.known = g.each == 0
	g.mu.Lock()
	var out []*conn
	room := true
	own := func(c *conn) bool { return c.client == n.client }
	if g.each > 0 && g.count[n.client] >= g.each {
		out, room = g.evict(out, own)
	} else if g.each > 0 && g.new[n.client] >= g.eachNew() {
		out, room = g.evict(out, func(c *conn) bool { return own(c) && !c.known })
	}
	if room && len(g.conns) >= g.most {
		out, room = g.evict(out, func(*conn) bool { return true })
	} else if room && g.news >= g.mostNew() {
		out, room = g.evict(out, func(c *conn) bool { return !c.known })
	}
	if room {
		g.conns[n] = struct{}{}
		g.count[n.client]++
		g.stranger(n, 1)
	}
	g.mu.Unlock()
	for _, o := range out {
		o.Conn.Close()
	}
	if !room {
		return nil
	}
	return n
}

// stranger counts a connection among the strangers', or out of them; mu is held.
func (g *gate) stranger(c *conn, by int) {
	if c.known {
		return
	}
	g.news += by
	if g.new[c.client] += by; g.new[c.client] == 0 {
		delete(g.new, c.client)
	}
}

// evict takes the connection of some that has waited longest off the books; it is to
// be closed without mu.
func (g *gate) evict(out []*conn, of func(*conn) bool) ([]*conn, bool) {
	var oldest *conn
	for c := range g.conns {
		if c.busy == 0 && of(c) && (oldest == nil || g.before(c, oldest)) {
			oldest = c
		}
	}
	if oldest == nil {
		return out, false
	}
	g.forget(oldest)
	return append(out, oldest), true
}

// before says whether a is to go before b; mu is held.
func (g *gate) before(a, b *conn) bool {
	switch {
	case a.known != b.known:
		return b.known
	case !a.known && g.new[a.client] != g.new[b.client]:
		return g.new[a.client] > g.new[b.client]
	}
	return a.since.Before(b.since)
}

// drop closes the connections that have been waiting since before a time.
func (g *gate) drop(before time.Time) {
	g.mu.Lock()
	var out []*conn
	for c := range g.conns {
		if c.busy == 0 && c.since.Before(before) {
			g.forget(c)
			out = append(out, c)
		}
	}
	g.mu.Unlock()
	for _, c := range out {
		c.Conn.Close()
	}
}

// forget a connection; mu is held.
func (g *gate) forget(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	g.stranger(c, -1)
	delete(g.conns, c)
	if g.count[c.client]--; g.count[c.client] == 0 {
		delete(g.count, c.client)
	}
}

// know says that a request over the connection was let in.
func (c *conn) know() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if !c.closed {
		c.gate.stranger(c, -1)
	}
	c.known = true
}

// begin and end frame the time in which we, not the client, keep a connection open.
func (c *conn) begin() {
	c.gate.mu.Lock()
	c.busy++
	c.gate.mu.Unlock()
}

func (c *conn) end() {
	c.gate.mu.Lock()
	if c.busy--; c.busy == 0 {
		c.since = c.gate.now()
	}
	c.gate.mu.Unlock()
}

func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

func (c *conn) Write(b []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(c.gate.stall))
	return c.Conn.Write(b)
}

// CloseWrite lets net/http end an answer that the client may still read while it is
// writing what nobody wants.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// listener hands out connections through its gate.
type listener struct {
	net.Listener
	via  Via
	gate *gate
	tls  bool
}

// full is said to those for whom there is no room.
const full = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if n := l.gate.admit(c, l.via); n != nil {
			return n, nil
		}
		if !l.tls {
			// It fits the buffer of a fresh socket; if it does not, it is let go.
			c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			c.Write([]byte(full))
		}
		c.Close()
	}
}
