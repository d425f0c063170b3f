package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// segment is about what one TCP segment carries, for counting packets.
const segment = 1400

// countedConn counts what passes and remembers why it ended.
type countedConn struct {
	net.Conn
	up, down, sent, received atomic.Uint64

	mu  sync.Mutex // guards err
	err error
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.down.Add(uint64(n))
		c.received.Add(uint64(1 + (n-1)/segment))
	}
	c.note(err)
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.up.Add(uint64(n))
		c.sent.Add(uint64(1 + (n-1)/segment))
	}
	c.note(err)
	return n, err
}

func (c *countedConn) note(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// cause returns why the connection ended.
func (c *countedConn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err == nil:
		return errors.New("the connection ended")
	case errors.Is(c.err, io.EOF):
		return errors.New("the peer hung up")
	}
	return c.err
}

// rttEstimate smooths round trips as RFC 9002 section 5.3 does.
type rttEstimate struct {
	smoothed, deviation, least, latest time.Duration
}

func (r *rttEstimate) add(d time.Duration) {
	r.latest = d
	if r.least == 0 || d < r.least {
		r.least = d
	}
	if r.smoothed == 0 {
		r.smoothed, r.deviation = d, d/2
		return
	}
	r.deviation += ((r.smoothed - d).Abs() - r.deviation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

// Stats counts the bytes of TLS records, and packets by guess.
func (c *muxConn) Stats() Stats {
	c.mu.Lock()
	rtt := c.rtt
	c.mu.Unlock()
	return Stats{
		BytesSent: c.wire.up.Load(), BytesReceived: c.wire.down.Load(),
		PacketsSent: c.wire.sent.Load(), PacketsReceived: c.wire.received.Load(),
		SmoothedRTT: rtt.smoothed, RTTDeviation: rtt.deviation, MinRTT: rtt.least, LatestRTT: rtt.latest,
	}
}

// measure pings the peer: now and then while there is traffic, rarely when
// there is none, which keeps the connection's path open.
func (c *muxConn) measure() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var before uint64
	var last time.Time
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		}
		if now := c.wire.up.Load(); now != before || time.Since(last) >= muxIdle {
			rtt, err := c.sess.Ping()
			if err != nil {
				c.end(c.why(err))
				return
			}
			c.mu.Lock()
			c.rtt.add(rtt)
			c.mu.Unlock()
			before, last = c.wire.up.Load(), time.Now()
		}
		timer.Reset(muxPing)
	}
}

// noticeSilence ends a connection on which nothing came for LinkIdle: the
// board's pings come more often.
func (c *muxConn) noticeSilence() {
	tick := time.NewTicker(LinkIdle / 3)
	defer tick.Stop()
	last, at := c.wire.down.Load(), time.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		if now := c.wire.down.Load(); now != last {
			last, at = now, time.Now()
		} else if time.Since(at) >= LinkIdle {
			c.end(errors.New("nothing came for too long"))
			return
		}
	}
}
