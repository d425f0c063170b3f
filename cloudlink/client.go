package cloudlink

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// Config says how to reach a cloud. Addr and TLS are needed.
type Config struct {
	Addr    string      // host:port, UDP
	TLS     *tls.Config // the cloud's CA and this device's certificate
	Device  string      // name of the board, for the cloud's log
	Version string      // of the board's software
	// Epoch numbers the connections of this device. Of two connections that
	// open the same session the higher epoch has it. Epochs, where given,
	// draws the number instead.
	Epoch  uint64
	Epochs Epochs
	// Tickets lets a dial send its first request in its first flight; nil
	// makes every dial a fresh one.
	Tickets Tickets
	Time    func() time.Time // for certificates and tickets, default time.Now; see ClockFloor
	Log     *slog.Logger     // default: none

	// May is what this board was enrolled to send; unset, it is for the cloud
	// to refuse.
	May trust.May

	Socket    net.PacketConn // default: a new UDP socket; one given stays open
	Idle      time.Duration  // silence that ends the connection, default 2 s
	Handshake time.Duration  // silence that ends a dial, default 3 s

	// NewSocket makes the sockets of dials and migrations in place of Socket;
	// the connection closes them. Default: UDP on any port.
	NewSocket func() (net.PacketConn, error)

	// Proxy is the HTTP proxy for TCP, as "http://host:port"; "" takes what the
	// environment says in HTTPS_PROXY, and NoProxy none.
	Proxy string

	hooks hooks // of a Link
	wrap  func(net.PacketConn) net.PacketConn
	tcp   bool
	// towards returns this machine's address on the way to the cloud; default
	// by the kernel's routes.
	towards func() net.IP
}

// Client is one connection to a cloud. Its methods may be called concurrently.
type Client struct {
	conf Config
	conn Conn
	log  *slog.Logger
	done chan struct{}
	wg   sync.WaitGroup

	probes *probes

	mu       sync.Mutex // guards all following
	err      error      // why the client ended
	sessions map[wire.SessionID]*Session
	welcome  *wire.Welcome
	draining bool
}

// Dial connects to the cloud with mutual TLS 1.3. With a session ticket it
// returns at once, and what is sent goes into the first flight; else it takes
// one round trip. The context bounds the dial only. An error wraps ErrLost when
// the cloud cannot be reached, and ErrUnauthorized when its certificate is not
// trusted. Where the cloud answers only afterwards, because a ticket was there
// or because in TLS 1.3 the cloud checks this side's certificate last, the
// client ends with the same errors, silence after conf.Handshake.
func Dial(ctx context.Context, conf Config) (*Client, error) {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.Epochs != nil {
		n, err := conf.Epochs.NextEpoch()
		if err != nil {
			return nil, fmt.Errorf("number the connection to cloud %s: %w", conf.Addr, err)
		}
		conf.Epoch = n
	}
	conn, err := DialConn(ctx, conf)
	if untrusted(err) {
		return nil, fmt.Errorf("cloud %s: %w: %w (do both use certificates of one CA?)", conf.Addr, ErrUnauthorized, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cloud %s: %w: %w (is `skerry cloud` running there, and may UDP pass?)", conf.Addr, ErrLost, err)
	}
	c := &Client{
		conf: conf, conn: conn, log: conf.Log,
		done: make(chan struct{}), sessions: map[wire.SessionID]*Session{}, probes: newProbes(),
	}
	control, err := conn.OpenStream(ctx, UrgencyControl)
	if err == nil {
		err = c.hello(control)
	}
	if err != nil {
		err = c.lost(err) // before closing it becomes the reason
		conn.Close(CodeShutdown, "no control stream")
		return nil, err
	}
	c.wg.Go(func() { c.readControl(control) })
	c.wg.Go(func() { c.writeControl(control) })
	return c, nil
}

// OpenSession opens a session without waiting for the cloud's consent: hidden
// states and asks may follow at once. A refusal comes out of Session.Ready and
// of every later call. The error is of the connection.
func (c *Client) OpenSession(ctx context.Context, opt SessionOptions) (*Session, error) {
	s, err := NewSession(opt)
	if err != nil {
		return nil, err
	}
	if err := c.attach(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// NewSession returns a session that is not attached to a connection yet: rows
// are only recorded until Client.Resume takes it, so it has to be durable.
func NewSession(opt SessionOptions) (*Session, error) {
	if opt.Tokens {
		opt.Width = 1
	}
	if opt.Width <= 0 {
		return nil, fmt.Errorf("open session: width %d", opt.Width)
	}
	if (opt.Position > 0 || opt.Branch > 0) && (!opt.Durable || opt.ID == (wire.SessionID{})) {
		return nil, fmt.Errorf("open session: to resume at %d it must be durable and have an id", opt.Position)
	}
	if opt.ID == (wire.SessionID{}) {
		rand.Read(opt.ID[:])
	}
	return newSession(opt), nil
}

// register makes s reachable for what comes on the connection, and runs f for
// attachment a; Close waits for them.
func (c *Client) register(s *Session, a *attachment, f ...func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if _, taken := c.sessions[s.opt.ID]; taken {
		return fmt.Errorf("session %s is open already", s.opt.ID)
	}
	c.sessions[s.opt.ID] = s
	for _, f := range f {
		a.wg.Add(1)
		c.wg.Go(func() {
			defer a.wg.Done()
			f()
		})
	}
	return nil
}

// Confirmed is closed once the cloud has shown that it is there, and never when
// it has not: wait for Done too. After a Dial without a ticket it is closed.
func (c *Client) Confirmed() <-chan struct{} { return c.conn.HandshakeComplete() }

// Used0RTT reports whether what was sent before Confirmed went into the first
// flight and was accepted. It is final once Confirmed is closed.
func (c *Client) Used0RTT() bool { return c.conn.Used0RTT() }

// Epoch is the number of the connection.
func (c *Client) Epoch() uint64 { return c.conf.Epoch }

// Stats returns the counters of the connection.
func (c *Client) Stats() Stats { return c.conn.Stats() }

// Welcome returns what the cloud said of itself, and false before it did.
func (c *Client) Welcome() (wire.Welcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.welcome == nil {
		return wire.Welcome{}, false
	}
	return *c.welcome, true
}

// Draining reports whether the cloud said that it is about to stop.
func (c *Client) Draining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil before it did: it wraps ErrLost,
// is a *RemoteError, or is ErrClosed after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends every session and the connection, and waits for them.
func (c *Client) Close() error {
	c.end(ErrClosed)
	err := c.conn.Close(CodeNone, "")
	c.wg.Wait()
	return err
}

// end records why the client ended, once, and ends its sessions.
func (c *Client) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	sessions := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	close(c.done)
	c.probes.out.Close(nil)
	c.mu.Unlock()
	for _, s := range sessions {
		s.loseClient(c, err)
	}
	if !errors.Is(err, ErrClosed) {
		c.log.Warn("cloud lost", "cloud", c.conf.Addr, "err", err)
	}
}

// lost returns err as the loss of the connection, with the reason the
// connection gives where it has one.
func (c *Client) lost(err error) error {
	if cause := context.Cause(c.conn.Context()); cause != nil {
		err = cause
	}
	if refused, ok := denied(err); ok {
		return fmt.Errorf("cloud %s: %w", c.conf.Addr, refused)
	}
	if untrusted(err) {
		return fmt.Errorf("cloud %s: %w: %w", c.conf.Addr, ErrUnauthorized, err)
	}
	return fmt.Errorf("cloud %s: %w: %w", c.conf.Addr, ErrLost, err)
}

func (c *Client) forget(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.opt.ID] == s {
		delete(c.sessions, s.opt.ID)
	}
}
