package linksim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxPacket  = 2048
	maxFlight  = 1 << 14 // packets on their way, each direction
	maxClients = 256
	sockBuffer = 4 << 20
)

// Counters count UDP payload of one direction.
type Counters struct {
	Bytes, Packets, Dropped uint64
}

// Link forwards UDP between clients and one target. A client sends to Addr.
type Link struct {
	front  *net.UDPConn
	target netip.AddrPort
	up     *direction
	back   *direction
	down   atomic.Bool
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards all following
	clients map[netip.AddrPort]*net.UDPConn
	closed  bool
}

// direction is one way of the link.
type direction struct {
	mu     sync.Mutex // guards shaper
	shaper *shaper
	flight chan packet

	bytes, packets, dropped atomic.Uint64
}

type packet struct {
	data []byte
	at   time.Time
	via  *net.UDPConn
	to   netip.AddrPort // of the client; the target's socket is connected
}

// Start forwards between a new loopback address and target until ctx or Close
// ends it. The same seed loses the same packets of the same sequence.
func Start(ctx context.Context, spec Spec, target *net.UDPAddr, seed uint64) (*Link, error) {
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("emulated link to %s: %w", target, err)
	}
	front.SetReadBuffer(sockBuffer) // best effort
	ip := target.AddrPort()
	l := &Link{
		front: front, target: netip.AddrPortFrom(ip.Addr().Unmap(), ip.Port()),
		up:      &direction{shaper: newShaper(spec, seed, 0), flight: make(chan packet, maxFlight)},
		back:    &direction{shaper: newShaper(spec, seed, 1), flight: make(chan packet, maxFlight)},
		clients: map[netip.AddrPort]*net.UDPConn{},
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.wg.Go(l.readFront)
	l.wg.Go(func() { l.deliver(l.up) })
	l.wg.Go(func() { l.deliver(l.back) })
	l.wg.Go(func() {
		<-l.ctx.Done()
		l.shut()
	})
	return l, nil
}

// Addr is where clients send.
func (l *Link) Addr() *net.UDPAddr { return l.front.LocalAddr().(*net.UDPAddr) }

// Down cuts the link, or mends it. While cut, packets vanish both ways, those
// on their way included.
func (l *Link) Down(cut bool) { l.down.Store(cut) }

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
	for _, c := range l.clients {
		c.Close()
	}
}

func (l *Link) readFront() {
	for {
		buf := make([]byte, maxPacket)
		n, from, err := l.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of another client's past packet
		}
		if via := l.upstream(from); via != nil {
			l.send(l.up, packet{data: buf[:n], via: via})
		}
	}
}

// upstream returns the socket that stands for one client towards the target.
func (l *Link) upstream(from netip.AddrPort) *net.UDPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.clients[from]; ok || l.closed || len(l.clients) >= maxClients {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.target))
	if err != nil {
		return nil
	}
	c.SetReadBuffer(sockBuffer)
	l.clients[from] = c
	l.wg.Go(func() { l.readBack(c, from) })
	return c
}

func (l *Link) readBack(c *net.UDPConn, to netip.AddrPort) {
	for {
		buf := make([]byte, maxPacket)
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the target refuses: that is the client's to find out
		}
		l.send(l.back, packet{data: buf[:n], via: l.front, to: to})
	}
}

// send puts a packet on its way.
func (l *Link) send(d *direction, p packet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.shaper.admit(time.Now(), len(p.data))
	if !ok || l.down.Load() {
		d.dropped.Add(1)
		return
	}
	p.at = at
	select {
	case d.flight <- p:
	default:
		d.dropped.Add(1)
	}
}

// deliver hands packets over when they are due, in order.
func (l *Link) deliver(d *direction) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case p := <-d.flight:
			if wait := time.Until(p.at); wait > 0 {
				timer.Reset(wait)
				select {
				case <-l.ctx.Done():
					return
				case <-timer.C:
				}
			}
			l.hand(d, p)
		}
	}
}

func (l *Link) hand(d *direction, p packet) {
	if l.down.Load() {
		d.dropped.Add(1)
		return
	}
	d.packets.Add(1)
	d.bytes.Add(uint64(len(p.data)))
	if p.to.IsValid() {
		p.via.WriteToUDPAddrPort(p.data, p.to)
	} else {
		p.via.Write(p.data)
	}
}

func (d *direction) counters() Counters {
	return Counters{Bytes: d.bytes.Load(), Packets: d.packets.Load(), Dropped: d.dropped.Load()}
}
