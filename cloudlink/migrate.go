package cloudlink

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// migrateTime bounds how long a new path may take to answer.
const migrateTime = 2 * time.Second

// migrate moves a connection to the address this machine now has towards the
// cloud (RFC 9000 section 9). A connection that cannot move is given up, and
// dialled anew.
func (l *Link) migrate(ctx context.Context, cur *live) {
	c := cur.client
	conn := c.conn
	if early, ok := conn.(*earlyConn); ok {
		conn = early.Conn // stays the same
	}
	q, ok := conn.(*quicConn)
	if !ok || !q.paths.left() {
		c.ping()
		return
	}
	probe, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	err := q.migrate(probe, l.conf.Config)
	switch {
	case ctx.Err() != nil || c.Err() != nil:
	case err != nil:
		c.quit(fmt.Errorf("cloud %s: %w: this machine's address changed, and the connection does not move: %w",
			l.conf.Addr, ErrLost, err))
	default:
		l.update(func(st *LinkStatus) { st.Migrations++ })
		l.log.Info("connection moved to another address", "cloud", l.conf.Addr)
		l.tell(Event{Kind: EventMigrated, Transport: cur.transport, Why: "this machine's address changed"})
	}
}

// migrate opens a socket, probes the cloud from it and switches to it.
func (q *quicConn) migrate(ctx context.Context, conf Config) error {
	sock, err := conf.newSocket()
	if err != nil {
		return err
	}
	sock = new(firstFlight).mute().wrap(sock)
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
	towards func() net.IP // this machine's address towards the cloud, nil: no route

	mu    sync.Mutex // guards all following
	local net.IP     // of this machine towards the cloud, as it was last
	shut  []func()
}

func newPaths(conf Config, cloud *net.UDPAddr) *paths {
	p := &paths{towards: func() net.IP { return localTowards(cloud.String()) }}
	if conf.towards != nil {
		p.towards = conf.towards
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
