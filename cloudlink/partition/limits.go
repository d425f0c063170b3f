package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

const (
	// firstFrame is how long a stream may take to say what it is, and an
	// uplink how long for its session to open.
	firstFrame = 10 * time.Second
	// frameTime is how long a frame may take from its first byte to its last.
	frameTime = 30 * time.Second
	// maxUndecided is how many streams of one device may be at that.
	maxUndecided = 256
	// maxUnconfirmed is how many connections may be in their handshake, those
	// of all devices: what a replay says of whose it is proves nothing.
	// Above minUnconfirmed what they may have sent fits a quarter of the budget.
	maxUnconfirmed = 256
	minUnconfirmed = 16
	// firstWindow is what a connection may have sent before anything of it is
	// read, in bytes, and so what one counts for whose handshake is not over:
	// the window a QUIC connection begins with.
	firstWindow = 768 << 10
	// maxFirstBody, maxAskBody and maxUplinkBody bound what a frame's body
	// makes the server hold, in bytes: none starts a stream; the mask of an ask
	// may have 262144 ids and a row of hidden states 16384 float32.
	maxFirstBody  = 1
	maxAskBody    = 1 << 20
	maxUplinkBody = 64 << 10
)

// count counts the connection, and is false when there are too many. leave
// takes it back.
func (c *connection) count() (leave func(), ok bool) {
	if c.confirmed() {
		return c.join()
	}
	var mu sync.Mutex
	counted := func() { c.srv.count.handshaking.Add(-1) }
	if n := c.srv.count.handshaking.Add(1); n > maxUnconfirmed || n > minUnconfirmed && n*firstWindow > c.srv.conf.Budget/4 {
		counted()
		return nil, false
	}
	c.wg.Go(func() {
		select {
		case <-c.conn.Context().Done():
			return
		case <-c.conn.HandshakeComplete():
		}
		joined, ok := c.join()
		if !ok {
			c.refuse()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		counted()
		counted = joined
	})
	return func() { // after the wait for wg
		mu.Lock()
		defer mu.Unlock()
		counted()
	}, true
}

// join counts the connection as one of its device's.
func (c *connection) join() (leave func(), ok bool) {
	leave = func() { c.account.connections.Add(-1) }
	if c.account.connections.Add(1) > int64(c.account.quota.Connections) {
		leave()
		return nil, false
	}
	return leave, true
}

// refuse closes a connection there is no room for.
func (c *connection) refuse() {
	c.account.refused.Add(1)
	c.srv.count.refused.Add(1)
	c.log().Warn("connection refused", "connections", c.account.connections.Load())
	c.conn.Close(transport.CodeRefused, "too many connections")
}

// countUndecided counts a stream that has not said what it is, or whose session is
// not open yet, until settled; it is false when there are too many.
func (c *connection) countUndecided() (settled func(), ok bool) {
	settled = sync.OnceFunc(func() { c.account.streams.Add(-1) })
	if c.account.streams.Add(1) > maxUndecided {
		settled()
		c.srv.count.badFrames.Add(1)
		c.log().Warn("stream refused", "undecided", maxUndecided)
		return nil, false
	}
	return settled, true
}

// maxAskRate is how many asks and branches of one device are taken in a second, and as
// many more at once. Each takes the lock that all sessions share for some 10 µs, most
// of it to predict what the ask would wait; what comes faster is read later. A board
// of 64 sessions that say 60 tokens a second each stays below it.
const maxAskRate = 4096

// waitTurn waits until the device may have another ask or branch taken, or the connection
// ends.
func (c *connection) waitTurn() {
	d := c.account.askRate.Reserve().Delay()
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.conn.Context().Done():
	}
}

// log is where to write what the connection does. A minute has so many lines of a
// device, and of all connections together that are not confirmed yet.
func (c *connection) log() *slog.Logger {
	if c.confirmed() {
		return c.confirmedLog
	}
	return c.unconfirmedLog
}

// noteForeign counts and logs that a board named a session that is not its connection's, or
// of another epoch. The error that it is told, if any, does not say which.
func (c *connection) noteForeign(what string, id wire.SessionID, epoch uint64) {
	c.srv.count.foreign.Add(1)
	c.log().Warn("no such session on this connection", "by", what, "session", id, "epoch", epoch)
}

// nextFrame reads a frame, which may take its time to begin but not to end.
func nextFrame(s transport.ReceiveStream, r *wire.Reader) (wire.Message, error) {
	if err := r.Wait(); err != nil {
		return nil, err
	}
	s.SetReadDeadline(time.Now().Add(frameTime))
	m, err := r.Next()
	s.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: it was begun and not ended in %v", wire.ErrFrame, frameTime)
	}
	return m, err
}
