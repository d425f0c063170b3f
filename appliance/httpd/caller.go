package httpd

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// Via is the kind of listener that a request came over.
type Via string

// The kinds.
const (
	Socket   Via = "socket"   // the unix socket: every right
	Loopback Via = "loopback" // this machine: every right but other origins' writes
	LAN      Via = "lan"      // everybody else: a key
)

// Caller is who asks.
type Caller struct {
	Via  Via
	Addr netip.Addr // of the client; invalid over the unix socket
	Key  string     // name of the key, over the LAN
	// Scopes of the key. Who comes over the socket or loopback needs none.
	Scopes Scopes
}

// Allows says whether the caller may do what needs a scope.
func (c Caller) Allows(need Scope) bool {
	return c.Via == Socket || c.Via == Loopback || c.Scopes.Allow(need)
}

// Name for queues and the page: the key's, else the address, or "local".
func (c Caller) Name() string {
	switch {
	case c.Key != "":
		return c.Key
	case c.Via == LAN && c.Addr.IsValid():
		return c.Addr.String()
	}
	return "local"
}

type callerKey struct{}

// CallerOf a request that has passed the guard. Any other is a stranger on the LAN.
func CallerOf(r *http.Request) Caller { return CallerIn(r.Context()) }

// CallerIn the context of such a request.
func CallerIn(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Via: LAN}
}

// WithCaller says who asks; for tests of handlers.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// addrOf the other end. IPv4 within IPv6 is IPv4.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// clientOf groups the addresses that one client has at will: an IPv6 network of 64
// bits.
func clientOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// IsLoopback says whether only this machine reaches a listener's address. The
// kernel drops packets of others for those addresses.
func IsLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
