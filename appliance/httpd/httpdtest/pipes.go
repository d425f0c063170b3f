// Package httpdtest has what tests of HTTP servers need to run in virtual time.
package httpdtest

import (
	"context"
	"net"
	"sync"
)

// Pipes is a listener on 127.0.0.1 whose connections lie in memory, so that a server on it
// and its clients can run in a bubble of testing/synctest, in which it has to be made.
type Pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

// NewPipes returns one.
func NewPipes() *Pipes {
	return &Pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the server's end of the next connection that Dial makes, or
// net.ErrClosed.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (p *Pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

// Addr is that of a loopback interface, as servers tell those whom they trust.
func (p *Pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Dial returns the client's end of a new connection, whatever the address. It is a
// DialContext of http.Transport.
func (p *Pipes) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
