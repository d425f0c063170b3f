package transport

import (
	"net"
	"net/netip"
	"sync"
)

// preauth bounds what peers that nobody knows yet have under way at once: of each
// address, and in all. Where there is no room it is one of theirs that has to go, of
// the address with the most, so that a stranger who holds connections open shuts
// nobody out but himself: one that has said nothing before others, and the oldest
// before those.
type preauth struct {
	most, each int

	mu   sync.Mutex // guards all following, and left of its peers
	in   map[*preauthPeer]struct{}
	from map[netip.Addr]int
	came uint64
}

// preauthPeer is one of them, until it leaves.
type preauthPeer struct {
	preauth *preauth
	from    netip.Addr
	came    uint64 // in this order
	silent  func() bool
	cut     func()
	left    bool
}

func newPreauth(most, each int) *preauth {
	return &preauth{most: most, each: each, in: map[*preauthPeer]struct{}{}, from: map[netip.Addr]int{}}
}

// enter lets a peer in. Silent says whether it has said nothing yet, and cut ends what
// it has under way; it is called at most once, and not after leave has returned.
func (c *preauth) enter(addr net.Addr, silent func() bool, cut func()) *preauthPeer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.came++
	s := &preauthPeer{preauth: c, from: source(addr), came: c.came, silent: silent, cut: cut}
	var out *preauthPeer
	if c.from[s.from] >= c.each {
		out = c.choose(s.from)
	} else if len(c.in) >= c.most {
		out = c.choose(c.busiest())
	}
	if out != nil {
		c.remove(out)
		out.cut()
	}
	c.in[s] = struct{}{}
	c.from[s.from]++
	return s
}

// busiest is the address with the most; mu is held.
func (c *preauth) busiest() (addr netip.Addr) {
	most := 0
	for a, n := range c.from {
		if n > most {
			addr, most = a, n
		}
	}
	return addr
}

// choose one of an address; mu is held.
func (c *preauth) choose(from netip.Addr) (out *preauthPeer) {
	silent := false
	for s := range c.in {
		if s.from != from {
			continue
		}
		if quiet := s.silent(); out == nil || quiet && !silent || quiet == silent && s.came < out.came {
			out, silent = s, quiet
		}
	}
	return out
}

// remove takes one out; mu is held.
func (c *preauth) remove(s *preauthPeer) {
	if s.left {
		return
	}
	s.left = true
	delete(c.in, s)
	if c.from[s.from]--; c.from[s.from] == 0 {
		delete(c.from, s.from)
	}
}

// leave says that it is known by now, or gone.
func (s *preauthPeer) leave() {
	s.preauth.mu.Lock()
	defer s.preauth.mu.Unlock()
	s.preauth.remove(s)
}

// source groups the addresses that one peer has at will: an IPv6 network of 64 bits.
func source(addr net.Addr) netip.Addr {
	var a netip.Addr
	switch t := addr.(type) {
	case *net.TCPAddr:
		a = t.AddrPort().Addr()
	case *net.UDPAddr:
		a = t.AddrPort().Addr()
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
