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

	"skerry/cloudlink/wire"
)

// Config says how to reach a cloud. Addr and TLS are needed.
type Config struct {
	Addr    string      // host:port, UDP
	TLS     *tls.Config // the cloud's CA and this device's certificate
	Device  string      // name of the board, for the cloud's log
	Version string      // of the board's software
	// Epoch numbers the connections of this device. Of two connections that
	// open the same session the higher epoch has it.
	Epoch uint64
	Log   *slog.Logger // default: none

	Socket    net.PacketConn // default: a new UDP socket; one given stays open
	Idle      time.Duration  // silence that ends the connection, default 2 s
	Handshake time.Duration  // silence that ends a dial, default 3 s
}

// Client is one connection to a cloud. Its methods may be called concurrently.
type Client struct {
	conf Config
	conn Conn
	log  *slog.Logger
	done chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex // guards all following
	err      error      // why the client ended
	sessions map[wire.SessionID]*Session
	welcome  *wire.Welcome
	draining bool
}

// Dial connects to the cloud: one round trip, mutual TLS 1.3. The context
// bounds the dial only. An error wraps ErrLost when the cloud cannot be
// reached, and ErrUnauthorized when its certificate is not trusted. In TLS 1.3
// the cloud checks this side's only afterwards: a client it does not trust ends
// with ErrUnauthorized a round trip later.
func Dial(ctx context.Context, conf Config) (*Client, error) {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
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
		done: make(chan struct{}), sessions: map[wire.SessionID]*Session{},
	}
	control, err := conn.OpenStream(ctx, UrgencyControl)
	if err == nil {
		err = c.hello(control)
	}
	if err != nil {
		conn.Close(CodeShutdown, "no control stream")
		return nil, fmt.Errorf("cloud %s: %w: %w", conf.Addr, ErrLost, err)
	}
	c.wg.Go(func() { c.readControl(control) })
	return c, nil
}

// OpenSession opens a session without waiting for the cloud's consent: hidden
// states and asks may follow at once. A refusal comes out of Session.Ready and
// of every later call. The error is of the connection.
func (c *Client) OpenSession(ctx context.Context, opt SessionOptions) (*Session, error) {
	if opt.Width <= 0 {
		return nil, fmt.Errorf("open session: width %d", opt.Width)
	}
	if opt.ID == (wire.SessionID{}) {
		rand.Read(opt.ID[:])
	}
	stream, err := c.conn.OpenStream(ctx, UrgencyAsk)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open session on cloud %s: %w", c.conf.Addr, err)
		}
		return nil, fmt.Errorf("open session on cloud %s: %w: %w", c.conf.Addr, ErrLost, err)
	}
	s := newSession(c, opt, stream)
	c.mu.Lock()
	err = c.err
	if _, taken := c.sessions[opt.ID]; err == nil && taken {
		err = fmt.Errorf("session %s is open already", opt.ID)
	}
	if err == nil {
		c.sessions[opt.ID] = s
		s.start()
	}
	c.mu.Unlock()
	if err != nil {
		stream.CancelWrite(CodeShutdown)
		stream.CancelRead(CodeShutdown)
		return nil, err
	}
	return s, nil
}

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
	c.mu.Unlock()
	for _, s := range sessions {
		s.end(err)
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
