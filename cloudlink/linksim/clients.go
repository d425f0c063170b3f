package linksim

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
)

// rebindable is a socket that another one can take the place of.
type rebindable = atomic.Pointer[net.UDPConn]

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
		if c := l.client(from); c != nil {
			l.record(from, buf[:n])
			l.up.send(buf[:n], c)
		}
	}
}

// client returns the client at an address; nil when there are too many.
func (l *Link) client(from netip.AddrPort) *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.clients[from]; ok || l.closed || len(l.clients) >= maxClients {
		return c
	}
	c := &client{addr: from, conn: &rebindable{}}
	if l.dial(c) != nil {
		return nil
	}
	l.clients[from] = c
	return c
}

// dial gives a client a new socket towards the target; the caller holds mu.
func (l *Link) dial(c *client) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.target))
	if err != nil {
		return err
	}
	conn.SetReadBuffer(sockBuffer)
	if old := c.conn.Swap(conn); old != nil {
		old.Close()
	}
	l.wg.Go(func() { l.readBack(conn, c) })
	return nil
}

func (l *Link) readBack(conn *net.UDPConn, c *client) {
	for {
		buf := make([]byte, maxPacket)
		n, err := conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the target refuses: that is the client's to find out
		}
		l.answered(c.addr)
		l.back.send(buf[:n], c)
	}
}

// Rebind gives every client another port towards the target, as a NAT does that
// forgot its table: what the target sends to the old one is lost, and TCP
// connections are reset.
func (l *Link) Rebind() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	for _, c := range l.clients {
		if err := l.dial(c); err != nil {
			return err
		}
	}
	for p := range l.pipes {
		p.reset()
	}
	return nil
}

// hand delivers a packet that is due.
func (l *Link) hand(d *direction, p packet) {
	if d.hole.Load() || l.noUDP.Load() {
		d.dropped.Add(1)
		return
	}
	d.packets.Add(1)
	d.bytes.Add(uint64(len(p.data)))
	if d == l.up {
		p.client.conn.Load().Write(p.data)
	} else {
		l.front.WriteToUDPAddrPort(p.data, p.client.addr)
	}
}
