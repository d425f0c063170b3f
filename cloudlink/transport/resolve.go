package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	// AttemptDelay is how long one address of a name may be silent before the next is
	// dialled beside it (RFC 8305 section 5, the Connection Attempt Delay). It is
	// long for that: a dial that comes second to a cloud on a slow link would number
	// its connection past the first.
	AttemptDelay = 500 * time.Millisecond
	// mostAddresses bounds how many addresses of a name are dialled.
	mostAddresses = 8
)

// Remotes returns the addresses of o.Addr in the order to dial them: families in
// turn, beginning with that of the resolver's first (RFC 8305 section 4). The error is
// the resolver's.
func (o Options) Remotes(ctx context.Context) ([]netip.AddrPort, error) {
	if o.Remote.IsValid() {
		return []netip.AddrPort{o.Remote}, nil
	}
	host, service, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "localhost"
	}
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{addr}
	} else {
		var r Resolver = net.DefaultResolver
		if o.Resolver != nil {
			r = o.Resolver
		}
		if addrs, err = r.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var out []netip.AddrPort
	for _, addr := range inTurn(addrs) {
		out = append(out, netip.AddrPortFrom(addr, uint16(port)))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return out[:min(len(out), mostAddresses)], nil
}

// inTurn orders addresses so that families take turns, each in the order it came.
func inTurn(addrs []netip.Addr) (out []netip.Addr) {
	var families [2][]netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		i := 0
		if a.Is4() != addrs[0].Unmap().Is4() {
			i = 1
		}
		if !slices.Contains(families[i], a) {
			families[i] = append(families[i], a)
		}
	}
	for i := range max(len(families[0]), len(families[1])) {
		for _, f := range families {
			if i < len(f) {
				out = append(out, f[i])
			}
		}
	}
	return out
}

// Race dials the addresses, the next one once an earlier has failed, or has been
// silent for delay, 0 for never. The first that dial returns wins, and drop gets the
// others. dial is told which of the addresses it has. An error that final says is the
// cloud's own word ends the race; nil: none is. Where nobody won there is an error of
// every dial, or the final one alone.
func Race[T any](ctx context.Context, remotes []netip.AddrPort, delay time.Duration,
	dial func(ctx context.Context, i int, remote netip.AddrPort) (T, error),
	drop func(T), final func(error) bool) (won T, errs []error) {
	if len(remotes) == 1 {
		won, err := dial(ctx, 0, remotes[0])
		if err != nil {
			return won, []error{err}
		}
		return won, nil
	}
	type result struct {
		conn T
		err  error
		i    int
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	results := make(chan result, len(remotes))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	started, pending := 0, 0
	next := func() {
		if started == len(remotes) {
			return
		}
		i := started
		started, pending = started+1, pending+1
		if timer.Stop(); delay > 0 {
			timer.Reset(delay)
		}
		wg.Go(func() {
			c, err := dial(ctx, i, remotes[i])
			results <- result{c, err, i}
		})
	}
	next()
	done := false
	for !done && pending > 0 {
		select {
		case <-timer.C:
			next()
		case r := <-results:
			pending--
			if r.err == nil {
				won, done = r.conn, true
				continue
			}
			errs = append(errs, fmt.Errorf("%s: %w", remotes[r.i].Addr(), r.err))
			if final != nil && final(r.err) {
				errs, pending = errs[len(errs)-1:], 0
				continue
			}
			next()
		}
	}
	cancel()
	wg.Wait()
	close(results)
	for r := range results {
		if r.err == nil {
			drop(r.conn)
		}
	}
	if done {
		errs = nil
	}
	return won, errs
}

// Preferred puts the address that the cloud answered on last first.
func Preferred(remotes []netip.AddrPort, last netip.AddrPort) []netip.AddrPort {
	i := slices.Index(remotes, last)
	if i <= 0 {
		return remotes
	}
	return slices.Insert(slices.Delete(slices.Clone(remotes), i, i+1), 0, last)
}

// udpAddr is an address as package net makes them, with 16 bytes for either family.
func udpAddr(a netip.AddrPort) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IP(a.Addr().AsSlice()).To16(), Port: int(a.Port()), Zone: a.Addr().Zone()}
}
