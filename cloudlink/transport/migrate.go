package transport

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/quic-go/quic-go"
)

// errCannotMove is returned by Migrate for a connection that is not one of QUIC.
var errCannotMove = errors.New("the connection cannot move")

// overQUIC returns the connection of QUIC that c is or wraps, nil for another.
func overQUIC(c Conn) *quicConn {
	if early, ok := c.(*earlyConn); ok {
		c = early.Conn // stays the same after a rejection
	}
	q, _ := c.(*quicConn)
	return q
}

// AddressChanged reports whether this machine now reaches the cloud from another
// address than when it was asked last, or when c was dialled. It is false for a
// connection that could not move (TCP), and while there is no route to move to.
func AddressChanged(c Conn) bool {
	q := overQUIC(c)
	return q != nil && q.paths != nil && q.paths.left()
}

// Migrate moves a dialled connection to the address this machine now has towards the
// cloud (RFC 9000 section 9), and waits until the new path is validated. On an error
// the connection is where it was: a socket could not be opened, ctx ended before the
// new path answered, or the connection is none of QUIC or has ended.
func Migrate(ctx context.Context, c Conn) error {
	q := overQUIC(c)
	if q == nil || q.paths == nil {
		return errCannotMove
	}
	sock, err := q.paths.newSocket()
	if err != nil {
		return err
	}
	sock = new(FirstFlight).mute().wrap(sock)
	tr := &quic.Transport{Conn: sock}
	shut := sync.OnceFunc(func() {
		tr.Close()
		sock.Close()
	})
	path, err := q.AddPath(tr)
	if err == nil {
		if err = path.Probe(ctx); err != nil {
			path.Close()
		}
	}
	if err == nil {
		err = path.Switch()
	}
	if err != nil {
		shut()
		return err
	}
	q.paths.add(shut)
	return nil
}

// paths are the sockets a connection has moved to; all stay open until it ends.
type paths struct {
	newSocket func() (net.PacketConn, error)
	towards   func() net.IP // this machine's address towards the cloud, nil: no route

	mu    sync.Mutex // guards all following
	local net.IP     // of this machine towards the cloud, as it was last
	shut  []func()
}

func newPaths(o Options, cloud *net.UDPAddr) *paths {
	p := &paths{newSocket: o.newSocket, towards: func() net.IP { return localTowards(cloud.String()) }}
	if o.Towards != nil {
		p.towards = o.Towards
	}
	p.local = p.towards()
	return p
}

// left reports whether this machine now reaches the cloud from another address
// than it did when asked last.
func (p *paths) left() bool {
	now := p.towards()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.local
	if now == nil {
		return false // no route: nothing to move to yet
	}
	p.local = now
	return before != nil && !before.Equal(now)
}

func (p *paths) add(shut func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = append(p.shut, shut)
}

func (p *paths) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, shut := range p.shut {
		shut()
	}
	p.shut = nil
}

// localTowards returns the address from which the kernel would send to addr,
// nil when it has no route. Nothing is sent.
func localTowards(addr string) net.IP {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP
}
