package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// tcpAfter is how long QUIC may go unanswered before TCP is tried beside it.
const tcpAfter = 1500 * time.Millisecond

// Reasons shown for the transport in use.
const (
	whyQUIC       = "QUIC works"
	whyNoAnswer   = "QUIC goes unanswered: the network may block UDP"
	whyConfigured = "the configuration says so"
)

var errNoAnswer = errors.New("no answer")

type dialed struct {
	live *live
	err  error
}

// connect dials by QUIC, and beside it by TCP once QUIC goes unanswered. The
// first that the cloud answers on wins. The sessions are attached to it.
func (l *Link) connect() (*live, error) {
	ctx, cancel := context.WithCancel(l.ctx)
	var wg sync.WaitGroup
	results := make(chan dialed, 2)
	pending := 0
	start := func(dial func(context.Context) (*live, error)) {
		pending++
		wg.Go(func() {
			n, err := dial(ctx)
			results <- dialed{n, err}
		})
	}
	tcp := l.conf.Transport != TransportQUIC
	fallback := func() {
		if tcp {
			tcp = false
			start(l.dialTCP)
		}
	}
	if l.conf.Transport == TransportTCP {
		fallback()
	} else {
		start(func(ctx context.Context) (*live, error) { return l.dialQUIC(ctx, true) })
	}
	timer := time.NewTimer(l.conf.TCPAfter)
	defer timer.Stop()
	var won *live
	var errs []error
	for won == nil && pending > 0 {
		select {
		case <-timer.C:
			fallback()
		case r := <-results:
			pending--
			won = r.live
			if r.err != nil {
				errs = append(errs, r.err)
				tcp = tcp && !hopeless(r.err)
				fallback()
			}
		}
	}
	cancel()
	wg.Wait()
	close(results)
	for r := range results {
		r.close()
	}
	if won == nil {
		return nil, errors.Join(errs...)
	}
	if err := l.attach(l.ctx, won.client); err != nil {
		won.client.Close()
		return nil, err
	}
	return won, nil
}

func (d dialed) close() {
	if d.live != nil {
		d.live.client.Close()
	}
}

// dialQUIC returns once the cloud has answered. With attach the sessions go
// into the first flight, which is sent again and again while the cloud is
// wanted.
func (l *Link) dialQUIC(ctx context.Context, attach bool) (*live, error) {
	conf := l.clientConfig()
	path := &firstFlight{}
	conf.wrap = path.wrap
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { path.repeat(stop, l.conf.Budget.Metered, l.demanded) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wg.Go(func() { l.tire(stop, func() { cancel(errNoAnswer) }) })
	c, err := Dial(ctx, conf)
	if err != nil {
		return nil, path.explain(err)
	}
	if attach {
		err = l.attach(ctx, c)
	}
	if err == nil {
		err = l.answered(ctx, c)
	}
	if err != nil {
		c.Close()
		return nil, path.explain(err)
	}
	return &live{client: c, transport: TransportQUIC, why: l.why(whyQUIC)}, nil
}

// tire calls cancel once a dial has taken idlePatience and nobody wants it.
func (l *Link) tire(stop <-chan struct{}, cancel func()) {
	timer := time.NewTimer(idlePatience)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		if !l.demanded() {
			cancel()
			return
		}
		timer.Reset(time.Second)
	}
}

// answered waits until the cloud has let c in: in TLS 1.3 it checks this side's
// certificate only after the handshake has ended here. Asks that wait longer
// than they would on a dead connection end meanwhile.
func (l *Link) answered(ctx context.Context, c *Client) error {
	watching, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { l.watch(watching, c, c.failAsks) })
	select {
	case <-c.probes.welcome:
		return nil
	case <-c.Done():
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("cloud %s: %w: %w", c.conf.Addr, ErrLost, context.Cause(ctx))
	}
}

// dialTCP is dialQUIC over TLS on TCP.
func (l *Link) dialTCP(ctx context.Context) (*live, error) {
	ctx, cancel := context.WithTimeout(ctx, l.conf.Handshake)
	defer cancel()
	conf := l.clientConfig()
	conf.tcp = true
	c, err := Dial(ctx, conf)
	if err != nil {
		return nil, err
	}
	if err := l.answered(ctx, c); err != nil {
		c.Close()
		return nil, err
	}
	return &live{client: c, transport: TransportTCP, why: l.why(whyNoAnswer)}, nil
}

// tryQUIC dials QUIC beside a TCP connection; nil says that it goes unanswered
// still.
func (l *Link) tryQUIC(ctx context.Context) *live {
	ctx, cancel := context.WithTimeout(ctx, 2*l.conf.TCPAfter)
	defer cancel()
	n, err := l.dialQUIC(ctx, false)
	if err != nil {
		return nil
	}
	return n
}

func (l *Link) why(reason string) string {
	if l.conf.Transport != TransportAny {
		return whyConfigured
	}
	return reason
}

// clientConfig returns the configuration of one connection.
func (l *Link) clientConfig() Config {
	conf := l.conf.Config
	conf.hooks = hooks{drain: l.drain, pong: func(rtt time.Duration) {
		l.tell(Event{Kind: EventAnswered, RTT: rtt})
	}}
	return conf
}
