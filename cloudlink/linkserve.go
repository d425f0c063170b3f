package cloudlink

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	statusEvery = 5 * time.Minute
	quicEvery   = 5 * time.Minute // that QUIC is tried again while on TCP
	meterEvery  = 10 * time.Second
	// switchPatience bounds how long a better connection waits for a moment
	// without asks.
	switchPatience = 10 * time.Second
)

// serve looks after a connection until it ends, and then returns why; or until
// another has taken over, which it returns.
func (l *Link) serve(cur *live) (next *live, err error) {
	c := cur.client
	ctx, cancel := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	better := make(chan *live, 1)
	defer func() {
		cancel()
		c.Close()
		wg.Wait()
		l.meter.close(c)
		select {
		case n := <-better:
			if n != nil && n != next {
				n.client.Close()
			}
		default:
		}
	}()
	l.connected(cur)
	wg.Go(func() { l.watch(ctx, c, c.quit) })
	report := time.NewTimer(time.Duration(l.conf.Random() * float64(statusEvery/10)))
	defer report.Stop()
	count := time.NewTicker(meterEvery)
	defer count.Stop()
	upgrade := time.NewTicker(l.conf.QUICEvery)
	defer upgrade.Stop()
	trying := false
	for {
		select {
		case <-c.Done():
			return nil, c.Err()
		case <-l.ctx.Done():
			return nil, ErrClosed
		case <-report.C:
			l.reportOn(c)
			report.Reset(statusEvery - time.Duration(l.conf.Random()*float64(statusEvery/10)))
		case <-count.C:
			l.meter.count(c)
			if err := l.meter.spent(); err != nil {
				c.quit(fmt.Errorf("%w: %w", ErrLost, err))
				return nil, err
			}
		case <-l.leave:
			l.tell(Event{Kind: EventDraining, Transport: cur.transport, Why: "the cloud is about to stop"})
			wg.Go(func() { l.vacate(ctx, c) })
		case <-l.kick:
			c.ping()
		case <-l.moved:
			wg.Go(func() { l.migrate(ctx, cur) })
		case <-upgrade.C:
			if cur.transport == TransportTCP && l.conf.Transport == TransportAny && !trying {
				trying = true
				wg.Go(func() { better <- l.tryQUIC(ctx) })
			}
		case n := <-better:
			trying = false
			if n == nil {
				continue
			}
			between, done := context.WithTimeout(ctx, switchPatience)
			quiet(between, c)
			done()
			if err := l.attach(ctx, n.client); err != nil {
				n.client.Close()
				continue
			}
			return n, nil
		}
	}
}

// watch probes c while something is owed, and tells dead when nothing comes
// back, which may end c.
func (l *Link) watch(ctx context.Context, c *Client, dead func(error)) {
	var v vigil
	tick := time.NewTicker(vigilTick)
	defer tick.Stop()
	for idle := true; ; {
		asks, rows := c.owed()
		if asks == 0 && !rows {
			idle = true
			tick.Stop()
		} else if idle {
			idle = false
			v.begin(time.Now(), c.Stats())
			tick.Reset(vigilTick)
		} else {
			switch v.step(time.Now(), c.Stats(), asks > 0) {
			case vigilProbe:
				c.ping()
			case vigilLost:
				dead(fmt.Errorf("cloud %s: %w: nothing came back for %v",
					l.conf.Addr, ErrLost, time.Since(v.since).Round(time.Millisecond)))
				v.begin(time.Now(), c.Stats())
			}
		}
		if !idle {
			select {
			case <-ctx.Done():
				return
			case <-c.Done():
				return
			case <-tick.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-c.Done():
			return
		case <-l.owing:
		}
	}
}

// reportOn sends the board's status.
func (l *Link) reportOn(c *Client) {
	l.mu.Lock()
	report, transport := l.report, l.status.Transport
	l.mu.Unlock()
	if report == nil {
		return
	}
	l.meter.count(c)
	st := report()
	st.Transport = string(transport)
	st.BytesUp, st.BytesDown = l.meter.bytes()
	if !c.report(&st) {
		l.log.Warn("status not sent", "cloud", l.conf.Addr)
	}
}

// tell hands an event to the observer, in order.
func (l *Link) tell(e Event) {
	if l.conf.Observe == nil {
		return
	}
	e.At = l.conf.Clock()
	l.observing.Lock()
	defer l.observing.Unlock()
	l.conf.Observe(e)
}

// update changes the status.
func (l *Link) update(f func(*LinkStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.status)
}

// Status returns how the link stands.
func (l *Link) Status() LinkStatus {
	l.mu.Lock()
	st, c := l.status, l.client
	l.mu.Unlock()
	if c != nil {
		st.Stats = c.Stats()
	}
	st.Budget = l.meter.status()
	st.BytesUp, st.BytesDown = l.meter.bytes()
	return st
}
