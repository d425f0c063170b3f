package partition

import (
	"context"
	"time"

	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// drainTick is how often a drain looks whether it is done.
const drainTick = 10 * time.Millisecond

// draining is the state of a server that is about to stop.
type draining struct {
	began chan struct{} // closed when the drain begins
	until time.Time     // set before began is closed
}

// Drain tells every board that the cloud stops, refuses new sessions, and lets
// asks that wait be answered. It returns when all boards have gone, when
// nothing waits and the last answers have had time to arrive, or when grace or
// ctx is over. Connections stay open: ending the context of Serve closes them.
func (s *Server) Drain(ctx context.Context, grace time.Duration) {
	s.mu.Lock()
	select {
	case <-s.drain.began:
	default:
		s.drain.until = time.Now().Add(grace)
		close(s.drain.began)
		s.conf.Log.Info("draining", "grace", grace, "connections", len(s.conns), "sessions", len(s.sessions))
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	var quiet time.Time // since when nothing has been waiting
	for {
		st := s.Stats()
		switch {
		case st.Waiting > 0:
			quiet = time.Time{}
		case quiet.IsZero():
			quiet = time.Now()
		}
		if st.Connections == 0 || !quiet.IsZero() && time.Since(quiet) > s.arrival() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// arrival bounds how long the last answer may take to a board and back, one
// loss included.
func (s *Server) arrival() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := time.Duration(0)
	for c := range s.conns {
		st := c.conn.Stats()
		most = max(most, st.SmoothedRTT+4*st.RTTDeviation)
	}
	return 3*most + 200*time.Millisecond
}

// refuseDraining refuses a session while the server drains.
func (s *Server) refuseDraining() *wire.Error {
	select {
	case <-s.drain.began:
	default:
		return nil
	}
	return &wire.Error{
		Code: wire.CodeDraining, Text: "this cloud is about to stop",
		RetryAfter: uint64(max(time.Until(s.drain.until), time.Second).Milliseconds()),
	}
}

// tellDrain tells one board once the server drains.
func (c *connection) tellDrain(out transport.SendStream, done <-chan struct{}) {
	drain := &c.srv.drain
	select {
	case <-done:
	case <-drain.began:
		write(out, &wire.Drain{Grace: uint64(max(time.Until(drain.until), 0).Milliseconds()), Others: c.others()})
	}
}

func (s *Server) join(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	c.account.present++
	if c.account.share != nil {
		c.account.share.here()
	}
}

func (s *Server) part(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.account.present--
	c.account.left = s.conf.Clock()
	if c.account.present == 0 && c.account.share != nil {
		c.account.share.away()
	}
}

// Away reports whether a device has had no connection for so long: contexts that were kept for
// it are gone when that is Config.IdleContext. It asks nobody and waits for nothing.
func (s *Server) Away(device string, long time.Duration) bool {
	a := s.accounts.of(device)
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.present == 0 && s.conf.Clock().Sub(a.left) >= long
}
