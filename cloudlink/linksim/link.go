package linksim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	maxPacket  = 2048
	maxFlight  = 1 << 14 // packets on their way, each direction
	maxClients = 256
	sockBuffer = 4 << 20
)

// Counters count UDP payload of one direction, and the bytes of TCP.
type Counters struct {
	Bytes, Packets, Dropped, Duplicated, Reordered uint64
}

// Link forwards UDP between clients and one target, and TCP between the same
// ports. A client sends to Addr.
type Link struct {
	front  *net.UDPConn
	tcp    net.Listener
	target netip.AddrPort
	up     *direction
	back   *direction
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	noUDP    atomic.Bool
	holes    *sync.Cond // a way was cut, mended, or the link ended
	recorder atomic.Pointer[Recorder]

	mu      sync.Mutex // guards all following
	clients map[netip.AddrPort]*client
	pipes   map[*pipe]bool
	closed  bool
}

// Start forwards between a new loopback address and target until ctx or Close
// ends it. The same seed loses the same packets of the same sequence.
func Start(ctx context.Context, spec Spec, target *net.UDPAddr, seed uint64) (*Link, error) {
	front, tcp, err := listen()
	if err != nil {
		return nil, fmt.Errorf("emulated link to %s: %w", target, err)
	}
	front.SetReadBuffer(sockBuffer) // best effort
	ip := target.AddrPort()
	l := &Link{
		front: front, tcp: tcp, target: netip.AddrPortFrom(ip.Addr().Unmap(), ip.Port()),
		up: newDirection(spec, seed, 0), back: newDirection(spec, seed, 1),
		holes:   sync.NewCond(new(sync.Mutex)),
		clients: map[netip.AddrPort]*client{}, pipes: map[*pipe]bool{},
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.wg.Go(l.readFront)
	l.wg.Go(l.acceptTCP)
	for _, d := range []*direction{l.up, l.back} {
		l.wg.Go(func() { d.deliver(l.ctx, func(p packet) { l.hand(d, p) }) })
	}
	l.wg.Go(func() {
		<-l.ctx.Done()
		l.shut()
	})
	return l, nil
}

// listen takes a port that is free on both UDP and TCP.
func listen() (*net.UDPConn, net.Listener, error) {
	for try := 0; ; try++ {
		front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, nil, err
		}
		tcp, err := net.Listen("tcp", front.LocalAddr().String())
		if err == nil {
			return front, tcp, nil
		}
		front.Close()
		if try == 20 {
			return nil, nil, err
		}
	}
}

// Addr is where clients send. TCP has the same port.
func (l *Link) Addr() *net.UDPAddr { return l.front.LocalAddr().(*net.UDPAddr) }

// Up and Back count what was delivered to and from the target.
func (l *Link) Up() Counters   { return l.up.counters() }
func (l *Link) Back() Counters { return l.back.counters() }

// Close stops forwarding and waits for the link's goroutines.
func (l *Link) Close() error {
	l.cancel()
	l.shut()
	l.wg.Wait()
	return nil
}

// shut closes every socket, which ends their readers.
func (l *Link) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.front.Close()
	l.tcp.Close()
	for _, c := range l.clients {
		c.conn.Load().Close()
	}
	for p := range l.pipes {
		p.reset()
	}
	l.holes.L.Lock() // a waiter has looked at the context, or will
	defer l.holes.L.Unlock()
	l.holes.Broadcast()
}
