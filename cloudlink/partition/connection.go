package partition

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// connection is one board's connection.
type connection struct {
	srv            *Server
	conn           transport.Conn
	device         string
	account        *account
	confirmedLog   *slog.Logger // once it is confirmed
	unconfirmedLog *slog.Logger // before
	wg             sync.WaitGroup
	receipts       *receipts
	closed         chan struct{} // closed when all of its sessions have ended
	// claimed makes the epoch the connection's, once.
	claimed func() *wire.Error
	owning  owning

	mu       sync.Mutex // guards all following
	slots    map[wire.SessionID]*slot
	control  bool        // a control stream has come
	refused  *wire.Error // nothing of this device is let in
	numbered bool        // epoch is known
	epoch    uint64
	closing  *time.Timer
}

// slot is where a session's uplinks wait for it to open: they travel on other
// streams and may be faster.
type slot struct {
	decided chan struct{}
	session *session // nil when refused
	waiting int
}

func newConnection(srv *Server, conn transport.Conn) *connection {
	account, peer := srv.accounts.of(conn.Peer()), conn.RemoteAddr().String()
	c := &connection{
		srv: srv, conn: conn, device: conn.Peer(), account: account,
		receipts: newReceipts(), closed: make(chan struct{}),
		confirmedLog: account.log.With("peer", peer), unconfirmedLog: srv.unconfirmed.log.With("device", conn.Peer(), "peer", peer),
		slots: map[wire.SessionID]*slot{}, owning: owning{said: make(chan struct{})},
	}
	c.claimed = sync.OnceValue(c.claimEpoch)
	return c
}

// serve handles the connection until it or ctx ends, and waits for its streams.
func (c *connection) serve(ctx context.Context) {
	leave, ok := c.count()
	if !ok {
		c.refuse()
		close(c.closed)
		return
	}
	defer leave()
	c.srv.count.connections.Add(1)
	c.srv.count.live.Add(1)
	defer c.srv.count.live.Add(-1)
	c.srv.join(c)
	defer c.srv.part(c)
	c.log().Info("board connected", "confirmed", c.confirmed())
	if c.refused = c.admitted(); c.refused != nil {
		c.closeSoon()
	}
	connCtx := c.conn.Context()
	stop := context.AfterFunc(ctx, func() { c.conn.Close(transport.CodeShutdown, "the cloud is stopping") })
	c.wg.Go(func() {
		for {
			s, err := c.conn.AcceptStream(connCtx, transport.UrgencyAsk)
			if err != nil {
				return
			}
			if settled, ok := c.countUndecided(); ok {
				c.wg.Go(func() { c.stream(s, settled) })
				continue
			}
			s.CancelWrite(transport.CodeRefused)
			s.CancelRead(transport.CodeRefused)
		}
	})
	c.wg.Go(func() {
		for {
			s, err := c.conn.AcceptUniStream(connCtx)
			if err != nil {
				return
			}
			if settled, ok := c.countUndecided(); ok {
				c.wg.Go(func() { c.uplink(s, settled) })
				continue
			}
			s.CancelRead(transport.CodeRefused)
		}
	})
	<-connCtx.Done()
	c.wg.Wait()
	close(c.closed)
	c.mu.Lock()
	if c.closing != nil {
		c.closing.Stop()
	}
	c.mu.Unlock()
	c.noteUnconfirmed()
	if !stop() {
		c.conn.Close(transport.CodeShutdown, "") // waits for the closing under way
	}
	c.log().Info("board gone", "cause", context.Cause(connCtx))
}

// stream finds out what a bidirectional stream is for.
func (c *connection) stream(s transport.Stream, settled func()) {
	defer settled()
	r := wire.NewReader(s, maxFirstBody)
	s.SetReadDeadline(time.Now().Add(firstFrame))
	m, err := r.Next()
	s.SetReadDeadline(time.Time{})
	switch m := m.(type) {
	case *wire.Hello:
		c.serveControl(s, r, m, settled)
	case *wire.Open:
		c.serveSession(s, r, m, settled)
	case *wire.Fetch:
		c.serveFiles(s, r, m, settled)
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

// reject ends one stream with a typed error. Only what may not come there is the board's fault,
// and counted as such.
func (c *connection) reject(s transport.Stream, e *wire.Error) {
	level := slog.LevelWarn
	switch e.Code {
	case wire.CodeProtocol:
		c.srv.count.badFrames.Add(1)
	case wire.CodeNotOwner, wire.CodeDraining, wire.CodeBusy: // as happens among several workers
		level = slog.LevelInfo
	}
	c.log().Log(context.Background(), level, "stream refused", "code", e.Code, "text", e.Text)
	fatal := *e
	fatal.Fatal = true
	if b, err := wire.Append(nil, &fatal); err == nil {
		writeAll(s, b)
	}
	s.Close()
	s.CancelRead(transport.CodeProtocol)
}

// isPeerFault tells bytes that are no valid frame, or end inside one, from a
// stream that was reset or whose connection ended.
func isPeerFault(err error) bool {
	return errors.Is(err, wire.ErrFrame) || errors.Is(err, errShort)
}
