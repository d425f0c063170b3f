package partition

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

const (
	// firstFrame is how long a stream may take to say what it is, and an
	// uplink how long for its session to open.
	firstFrame = 10 * time.Second
	// maxUplinkBody bounds what one Hidden frame makes the server hold, in
	// bytes; a row of 65536 float32 fits.
	maxUplinkBody = 256 << 10
)

// connection is one board's connection.
type connection struct {
	srv    *Server
	conn   cloudlink.Conn
	device string
	log    *slog.Logger
	wg     sync.WaitGroup
	due    *receipts

	mu      sync.Mutex // guards all following
	slots   map[wire.SessionID]*slot
	control bool // a control stream has come
}

// slot is where a session's uplinks wait for it to open: they travel on other
// streams and may be faster.
type slot struct {
	decided chan struct{}
	session *session // nil when refused
	waiting int
}

func newConnection(srv *Server, conn cloudlink.Conn) *connection {
	return &connection{
		srv: srv, conn: conn, device: conn.Peer(), due: newReceipts(),
		log:   srv.conf.Log.With("device", conn.Peer(), "peer", conn.RemoteAddr().String()),
		slots: map[wire.SessionID]*slot{},
	}
}

// serve handles the connection until it or ctx ends, and waits for its streams.
func (c *connection) serve(ctx context.Context) {
	c.srv.count.connections.Add(1)
	c.srv.count.live.Add(1)
	defer c.srv.count.live.Add(-1)
	c.log.Info("board connected")
	connCtx := c.conn.Context()
	stop := context.AfterFunc(ctx, func() { c.conn.Close(cloudlink.CodeShutdown, "the cloud is stopping") })
	c.wg.Go(func() {
		for {
			s, err := c.conn.AcceptStream(connCtx, cloudlink.UrgencyAsk)
			if err != nil {
				return
			}
			c.wg.Go(func() { c.stream(s) })
		}
	})
	c.wg.Go(func() {
		for {
			s, err := c.conn.AcceptUniStream(connCtx)
			if err != nil {
				return
			}
			c.wg.Go(func() { c.uplink(s) })
		}
	})
	<-connCtx.Done()
	c.wg.Wait()
	if !stop() {
		c.conn.Close(cloudlink.CodeShutdown, "") // waits for the closing under way
	}
	c.log.Info("board gone", "cause", context.Cause(connCtx))
}

// stream finds out what a bidirectional stream is for.
func (c *connection) stream(s cloudlink.Stream) {
	r := wire.NewReader(s, 0)
	s.SetReadDeadline(time.Now().Add(firstFrame))
	m, err := r.Next()
	s.SetReadDeadline(time.Time{})
	switch m := m.(type) {
	case *wire.Hello:
		c.serveControl(s, r, m)
	case *wire.Open:
		c.serveSession(s, r, m)
	default:
		c.reject(s, &wire.Error{Code: wire.CodeProtocol, Text: badFrame(m, err)})
	}
}

// badFrame says what was wrong with the frame a stream began or went on with.
func badFrame(m wire.Message, err error) string {
	if err != nil {
		return err.Error()
	}
	return "frame type " + typeName(m) + " may not come here"
}

// reject ends one stream with a typed error.
func (c *connection) reject(s cloudlink.Stream, e *wire.Error) {
	c.srv.count.badFrames.Add(1)
	c.log.Warn("stream refused", "code", e.Code, "text", e.Text)
	e.Fatal = true
	if b, err := wire.Append(nil, e); err == nil {
		s.Write(b)
	}
	s.Close()
	s.CancelRead(cloudlink.CodeProtocol)
}

// isPeerFault tells bytes that are no valid frame, or end inside one, from a
// stream that was reset or whose connection ended.
func isPeerFault(err error) bool {
	return errors.Is(err, wire.ErrFrame) || errors.Is(err, errShort)
}
