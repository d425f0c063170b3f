package cloudlink

import (
	"context"
	"skerry/cloudlink/internal/linkerr"
	"sync"
	"time"
)

const (
	statusEvery = 5 * time.Minute
	quicEvery   = 5 * time.Minute // that QUIC is tried again while on TCP
	meterEvery  = 10 * time.Second
	// switchWait bounds how long a better connection waits for a moment
	// without asks.
	switchWait = 10 * time.Second
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
		l.meter.Count(c)
		select {
		case n := <-better:
			if n != nil && n != next {
				n.client.Close()
			}
		default:
		}
	}()
	l.meter.Count(c) // from here on Status has its bytes
	l.connected(cur)
	wg.Go(func() { l.watch(ctx, c, c.quit) })
	report := time.NewTimer(l.untilReport())
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
			return nil, linkerr.ErrClosed
		case <-report.C:
			l.reportOn(c)
			report.Reset(l.untilReport())
		case <-count.C:
			l.meter.Count(c)
			if err := l.meter.Spent(); err != nil {
				c.quit(linkerr.Lost(c.conf.Addr, err))
				return nil, err
			}
		case <-l.leave:
			l.tell(Event{Kind: EventDraining, Transport: cur.transport, Why: "the cloud is about to stop"})
			wg.Go(func() { l.drainClient(ctx, c) })
		case <-l.kick:
			c.ping()
		case <-l.moved:
			wg.Go(func() { l.migrate(ctx, cur) })
		case <-upgrade.C:
			if cur.transport == TransportTCP && l.conf.Transport == TransportAny && !trying {
				trying = true
				wg.Go(func() { better <- l.tryQUIC(ctx, c.conf.Addr) })
			}
		case n := <-better:
			trying = false
			if n == nil {
				continue
			}
			between, done := context.WithTimeout(ctx, switchWait)
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

// untilReport is how long the next status waits: statusEvery after the last one,
// and a random time more, so that boards that came back together do not report
// together.
func (l *Link) untilReport() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Duration(l.conf.Random() * float64(statusEvery/10))
	if l.report == nil { // there may be one soon
		return wait + time.Second
	}
	if !l.reported.IsZero() {
		wait += max(statusEvery-time.Since(l.reported), 0)
	}
	return wait
}

// reportOn sends the board's status.
func (l *Link) reportOn(c *Client) {
	l.mu.Lock()
	report, transport := l.report, l.status.Transport
	if report != nil {
		l.reported = time.Now()
	}
	l.mu.Unlock()
	if report == nil {
		return
	}
	l.meter.Count(c)
	st := report()
	st.Transport = string(transport)
	st.BytesUp, st.BytesDown = l.meter.Bytes()
	st.Fit()
	if !c.report(&st) {
		l.log.Warn("status not sent", "cloud", c.conf.Addr)
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
	st.Budget = l.meter.Status()
	st.BytesUp, st.BytesDown = l.meter.Shown()
	return st
}
