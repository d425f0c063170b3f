package cloudlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"sync"
	"time"
)

// tcpAfter is how long QUIC may go unanswered before TCP is tried beside it.
const tcpAfter = 1500 * time.Millisecond

// Reasons shown for the transport in use.
const (
	whyQUIC       = "QUIC works"
	whySmall      = "QUIC works, with small packets: larger ones did not get through"
	whyNoAnswer   = "QUIC goes unanswered: the network may block UDP"
	whyConfigured = "the configuration says so"
)

var errNoAnswer = errors.New("no answer")

type dialed struct {
	live *live
	err  error
}

// connectTo dials one address by QUIC, and beside it by TCP once QUIC goes
// unanswered. The first that the cloud answers on wins. With early the sessions
// go into QUIC's first flight.
func (l *Link) connectTo(ctx context.Context, addr string, early bool) (*live, error) {
	ctx, cancel := context.WithCancel(ctx)
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
			start(func(ctx context.Context) (*live, error) { return l.dialTCP(ctx, addr) })
		}
	}
	if l.conf.Transport == TransportTCP {
		fallback()
	} else {
		start(func(ctx context.Context) (*live, error) { return l.dialQUIC(ctx, addr, early) })
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
				_, sent := ownerOf(r.err)
				tcp = tcp && !sent && !linkerr.IsPermanent(r.err)
				fallback()
			}
		}
	}
	cancel()
	wg.Wait()
	closeLate(results)
	if won == nil {
		return nil, linkerr.OfDials(errs)
	}
	return won, nil
}

// closeLate ends the connections that came after another had won.
func closeLate(results chan dialed) {
	close(results)
	for r := range results {
		r.close()
	}
}

func (d dialed) close() {
	if d.live != nil {
		d.live.client.Close()
	}
}

// dialQUIC dials the addresses of a name, the one that answered last first, and
// returns once the cloud has answered at one of them. With attach the sessions go
// into the first flight of the first.
func (l *Link) dialQUIC(ctx context.Context, addr string, attach bool) (*live, error) {
	conf := l.clientConfig(addr)
	remotes, err := conf.transport().Remotes(ctx)
	if err != nil {
		return nil, linkerr.Lost(addr, err)
	}
	l.mu.Lock()
	remotes = transport.Preferred(remotes, l.found[addr])
	l.mu.Unlock()
	n, errs := transport.Race(ctx, remotes, transport.AttemptDelay, func(ctx context.Context, i int, remote netip.AddrPort) (*live, error) {
		conf := conf
		conf.Remote = remote
		n, err := l.dialRemote(ctx, conf, attach && i == 0)
		if err == nil {
			l.mu.Lock()
			l.found[addr] = remote
			l.mu.Unlock()
		}
		return n, err
	}, func(n *live) { n.client.Close() }, decided)
	return n, linkerr.OfAddresses(errs)
}

// dialRemote is dialQUIC to one address. The first flight is sent again and again
// while the cloud is wanted.
func (l *Link) dialRemote(ctx context.Context, conf Config, attach bool) (*live, error) {
	flight := &transport.FirstFlight{}
	conf.flight = flight
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { flight.Repeat(stop, l.conf.Budget.Metered, l.demanded) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wg.Go(func() { l.cancelIfIdle(stop, func() { cancel(errNoAnswer) }) })
	c, err := Dial(ctx, conf)
	if err != nil {
		return nil, flight.Explain(err)
	}
	if attach {
		err = l.attach(ctx, c)
	}
	if err == nil {
		err = l.answered(ctx, c)
	}
	if err != nil {
		c.Close()
		return nil, flight.Explain(err)
	}
	why := whyQUIC
	if conf.small {
		why = whySmall
	}
	return &live{client: c, transport: TransportQUIC, why: l.why(why)}, nil
}

// cancelIfIdle calls cancel once a dial has taken idleDial and nobody wants it.
func (l *Link) cancelIfIdle(stop <-chan struct{}, cancel func()) {
	timer := time.NewTimer(idleDial)
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
// certificate only after the handshake has ended here. A cloud that takes the
// connection has to say hello soon. Asks that wait longer than they would on a dead
// connection end meanwhile.
func (l *Link) answered(ctx context.Context, c *Client) error {
	watching, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { l.watch(watching, c, c.failAsks) })
	confirmed := c.Confirmed()
	late := time.NewTimer(l.conf.Handshake)
	late.Stop()
	defer late.Stop()
	for {
		select {
		case <-c.probes.welcome:
			w, _ := c.Welcome()
			return l.welcomedBy(c.conf.Addr, w)
		case <-c.Done():
			return c.Err()
		case <-ctx.Done():
			return linkerr.Lost(c.conf.Addr, context.Cause(ctx))
		case <-confirmed:
			confirmed = nil
			late.Reset(l.conf.Handshake)
		case <-late.C:
			l.unanswered()
			return linkerr.Lost(c.conf.Addr, fmt.Errorf("%w: it took the connection and did not say hello within %v", linkerr.ErrUnanswered, l.conf.Handshake))
		}
	}
}

// dialTCP is dialQUIC over TLS on TCP.
func (l *Link) dialTCP(ctx context.Context, addr string) (*live, error) {
	ctx, cancel := context.WithTimeout(ctx, l.conf.Handshake)
	defer cancel()
	conf := l.clientConfig(addr)
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

// tryQUIC dials QUIC beside a TCP connection to addr; nil says that it goes
// unanswered still.
func (l *Link) tryQUIC(ctx context.Context, addr string) *live {
	ctx, cancel := context.WithTimeout(ctx, 2*l.conf.TCPAfter)
	defer cancel()
	n, err := l.dialQUIC(ctx, addr, false)
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

// clientConfig returns the configuration of one connection to addr.
func (l *Link) clientConfig(addr string) Config {
	conf := l.conf.Config
	conf.Addr, conf.small = addr, l.small.Load()
	conf.moves, conf.bundle = l.moving(addr)
	if conf.Tickets != nil {
		conf.Tickets = tickets{l.ticketName, conf.Tickets}
	}
	conf.hooks = hooks{
		drain: func(grace time.Duration, others []string) { l.drain(addr, grace, others) }, breach: l.breach, answered: l.waits.Answered, offer: l.offered,
		pong: func(rtt time.Duration) {
			l.judge.monitor.Probed(rtt)
			l.tell(Event{Kind: EventAnswered, RTT: rtt})
		},
	}
	return conf
}
