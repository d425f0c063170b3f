package linksim

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// tcpChunk is what one step carries, about ten segments.
	tcpChunk = 14 << 10
	// tcpFlight bounds what one way of a connection holds, in chunks: beyond it
	// the sender waits, as for a window.
	tcpFlight = 64
	dialTime  = 3 * time.Second
)

// pipe is one TCP connection through the link.
type pipe struct {
	client, target net.Conn
}

func (p *pipe) close() {
	p.client.Close()
	p.target.Close()
}

// reset ends both halves at once, whatever they still hold.
func (p *pipe) reset() {
	for _, c := range []net.Conn{p.client, p.target} {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		c.Close()
	}
}

// chunk is a piece of a stream on its way; without data it is its end.
type chunk struct {
	data []byte
	at   time.Time
}

func (l *Link) acceptTCP() {
	for {
		c, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		l.wg.Go(func() { l.serveTCP(c) })
	}
}

// serveTCP carries one connection. The kernel has shaken the client's hand
// before the link could delay it, so the round trip of that is charged to the
// first bytes.
func (l *Link) serveTCP(client net.Conn) {
	start := time.Now().Add(l.up.delay() + l.back.delay())
	ctx, cancel := context.WithTimeout(l.ctx, dialTime)
	defer cancel()
	var d net.Dialer
	target, err := d.DialContext(ctx, "tcp", l.target.String())
	if err != nil {
		client.Close()
		return
	}
	p := &pipe{client, target}
	defer p.close()
	if !l.add(p) {
		return
	}
	defer l.remove(p)
	var both sync.WaitGroup
	both.Go(func() { l.stream(l.up, p, client, target, start) })
	both.Go(func() { l.stream(l.back, p, target, client, start) })
	both.Wait()
}

func (l *Link) add(p *pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.pipes) >= maxClients {
		return false
	}
	l.pipes[p] = true
	return true
}

func (l *Link) remove(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pipes, p)
}

// stream carries one way of a connection to its end. Rate and delay are the
// link's, shared with the datagrams; nothing is lost.
func (l *Link) stream(d *direction, p *pipe, from io.Reader, to net.Conn, start time.Time) {
	chunks := make(chan chunk, tcpFlight)
	var writer sync.WaitGroup
	writer.Go(func() {
		for c := range chunks {
			if !l.due(d, c.at) {
				p.reset()
			}
			if c.data == nil {
				to.(*net.TCPConn).CloseWrite()
			} else if _, err := to.Write(c.data); err != nil {
				p.reset() // and take what is left, so that the reader gets on
			} else {
				d.bytes.Add(uint64(len(c.data)))
			}
		}
	})
	for {
		buf := make([]byte, tcpChunk)
		n, err := from.Read(buf)
		if n > 0 {
			chunks <- chunk{buf[:n], d.reserve(n, start)}
		}
		if err == io.EOF {
			chunks <- chunk{nil, d.reserve(0, start)}
		} else if err != nil {
			p.reset()
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	writer.Wait()
}

// due waits until at, and until the way is neither cut nor loses everything; false
// when the link ends.
func (l *Link) due(d *direction, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return false
	case <-timer.C:
	}
	l.holes.L.Lock()
	defer l.holes.L.Unlock()
	for (d.hole.Load() || d.deaf.Load()) && l.ctx.Err() == nil {
		l.holes.Wait()
	}
	return l.ctx.Err() == nil
}

// delay returns how long the way takes.
func (d *direction) delay() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shaper.delay
}

// reserve returns when n bytes sent now arrive, not before start.
func (d *direction) reserve(n int, start time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if start.After(now) {
		now = start
	}
	return d.shaper.reserve(now, n)
}
