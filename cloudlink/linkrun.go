package cloudlink

import (
	"context"
	"errors"
	"time"

	"skerry/cloudlink/internal/backoff"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
)

const (
	// demandFor is how long the cloud stays wanted after a session last wanted
	// it.
	demandFor = 2 * time.Second
	// linkHandshake is how long one dial may stay unanswered. Its first flight
	// is sent again and again while a token wants the cloud, so that a dial
	// need not end to try anew.
	linkHandshake = 10 * time.Second
	// steady is how long a connection has to live to be dialled again at once
	// when it ends.
	steady = time.Second
	// mostLater bounds how much later than at once a cloud is dialled that is wanted and has
	// said when to come again.
	mostLater = 2 * time.Second
	// idleDial ends a dial sooner that nobody wants.
	idleDial = 3 * time.Second
)

// run owns the connection: it dials, serves and dials again until Close.
func (l *Link) run() {
	defer l.endSessions()
	wait := backoff.Backoff{Random: l.conf.Random, Most: backoff.Last}
	if l.conf.Budget.Metered {
		wait.Most = backoff.Metered
	}
	jumped := false // past an epoch, since the last steady connection
	for l.ctx.Err() == nil {
		if err := l.meter.Spent(); err != nil {
			l.failed(err, true)
			l.pause(l.meter.UntilNextMonth(), time.Time{})
			continue
		}
		began := time.Now()
		next, err := l.connect()
		if _, sent := ownerOf(err); sent && l.ctx.Err() == nil && l.goesOn() {
			continue // to the worker that has this board
		}
		if err != nil {
			refused := linkerr.IsPermanent(err)
			l.failed(err, refused)
			if linkerr.IsStaleEpoch(err) && !jumped {
				jumped = true
				continue
			}
			pause, later := wait.Failed(refused), time.Duration(0)
			if said := (*linkerr.RemoteError)(nil); errors.As(err, &said) {
				later = said.RetryAfter
			}
			if refused {
				began = time.Time{}
			} else if later > 0 { // also somebody who waits comes no sooner than a little later
				began = began.Add(min(later, mostLater))
			}
			l.pause(max(pause, later), began)
			continue
		}
		up := time.Now()
		for next != nil {
			next, err = l.serve(next)
		}
		l.lost(err)
		if errors.Is(err, linkerr.ErrLost) && !errors.Is(err, linkerr.ErrDraining) {
			l.unreachable(l.addr())
		}
		switch grace := l.drained(); {
		case grace > 0:
			l.pause(grace, time.Time{})
		case linkerr.IsStaleEpoch(err) && !jumped:
			jumped = true
		case errors.Is(err, linkerr.ErrUnanswered):
			l.pause(l.waits.GiveUp(), time.Time{})
		case linkerr.IsPermanent(err):
			l.pause(wait.Failed(true), time.Time{})
		case time.Since(up) < steady: // let in and thrown out
			l.pause(wait.Failed(false), began)
		default:
			jumped = false
			wait.Reset()
		}
	}
}

// pause waits before the next dial. A user or a changed network ends it at
// once, and a token that wants the cloud backoff.Demand after the last dial began,
// unless that is zero.
func (l *Link) pause(d time.Duration, last time.Time) {
	began := time.Now()
	l.update(func(st *LinkStatus) { st.NextDial = l.conf.Clock().Add(d) })
	defer l.update(func(st *LinkStatus) { st.NextDial = time.Time{} })
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		if !last.IsZero() && l.demanded() {
			timer.Reset(max(min(time.Until(began.Add(d)), time.Until(last.Add(backoff.Demand))), 0))
		}
		select {
		case <-timer.C:
			return
		case <-l.kick:
			return
		case <-l.ctx.Done():
			return
		case <-l.demand:
		}
	}
}

// markDemand notes that the cloud is wanted. It takes no lock and never waits.
func (l *Link) markDemand() {
	l.wanted.Store(time.Now().UnixNano())
	token(l.demand)
	token(l.owing)
}

// token leaves one token in c, which holds one.
func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// demanded reports whether the cloud has been wanted of late.
func (l *Link) demanded() bool {
	return time.Since(time.Unix(0, l.wanted.Load())) < demandFor
}

// live is a connection that the cloud has answered on.
type live struct {
	client    *Client
	transport Transport
	why       string
}

func (n *live) addr() string { return n.client.conf.Addr }

// lost shows that the connection has ended.
func (l *Link) lost(err error) {
	if l.ctx.Err() != nil {
		err = linkerr.ErrClosed
	}
	l.mu.Lock()
	l.setClient(nil)
	l.status.Connected, l.status.Since = false, l.conf.Clock()
	l.status.failed(err, linkerr.IsPermanent(err))
	t := l.status.Transport
	l.mu.Unlock()
	l.log.Warn("link lost", "cloud", l.addr(), "err", err)
	l.judge.lost(linkerr.Explain(err, l.addr()))
	l.tell(Event{Kind: EventLost, Transport: t, Err: err, Why: err.Error()})
}

// failed shows that a dial has failed.
func (l *Link) failed(err error, refused bool) {
	l.update(func(st *LinkStatus) { st.failed(err, refused) })
	l.log.Info("dial failed", "cloud", l.addr(), "err", err)
	l.judge.changed.Announce()
}

// setClient changes the connection of the moment; mu is held.
func (l *Link) setClient(c *Client) {
	l.client = c
	close(l.changed)
	l.changed = make(chan struct{})
}

// connected shows a connection and moves the sessions to it.
func (l *Link) connected(n *live) {
	kind := EventConnected
	l.mu.Lock()
	if l.client != nil {
		kind = EventTransport
	} else if l.ever {
		l.status.Reconnects++
	}
	if !l.status.Connected {
		l.status.Since = l.conf.Clock()
	}
	l.setClient(n.client)
	l.ever = true
	l.status.Connected, l.status.Draining, l.status.Refused = true, false, false
	l.status.Transport, l.status.Why = n.transport, n.why
	l.mu.Unlock()
	l.answeredAt(n.addr())
	l.log.Info("link up", "cloud", n.addr(), "transport", n.transport, "why", n.why)
	l.judge.connected()
	l.tell(Event{Kind: kind, Transport: n.transport, Why: n.why})
}

// drained returns how long a cloud that said it stops is left alone.
func (l *Link) drained() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	grace := l.grace
	l.grace = 0
	if grace == 0 {
		return 0
	}
	return grace + time.Duration(l.conf.Random()*float64(time.Second))
}

// drain notes that the cloud at addr is about to stop; where it has other workers the link
// goes to one of them at once.
func (l *Link) drain(addr string, grace time.Duration, others []string) {
	l.leaving(addr, others)
	l.mu.Lock()
	if l.status.Draining = true; len(others) == 0 {
		l.grace = max(grace, time.Second)
	}
	l.mu.Unlock()
	token(l.leave)
}

// drainClient ends c once nobody waits for an answer on it, or ctx ends.
func (l *Link) drainClient(ctx context.Context, c *Client) {
	if quiet(ctx, c) {
		c.quit(linkerr.Lost(c.conf.Addr, linkerr.ErrDraining))
	}
}

// quiet waits until nobody waits for an answer on c, and reports false when c
// or ctx ended before.
func quiet(ctx context.Context, c *Client) bool {
	for {
		settled := c.settled.Next()
		if asks, _ := c.owed(); asks == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-c.Done():
			return false
		case <-settled:
		}
	}
}

// quit ends the client because of err and closes its connection.
func (c *Client) quit(err error) {
	c.end(err)
	c.conn.Close(transport.CodeNone, "")
}
