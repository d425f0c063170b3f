package cloudlink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/session"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// Config says how to reach a cloud. Addr and TLS are needed.
type Config struct {
	Addr string      // host:port, UDP
	TLS  *tls.Config // the cloud's CA and this device's certificate
	// Remote is which of the addresses of Addr to dial by QUIC, where that is known;
	// else all are, by turns, until one answers (RFC 8305).
	Remote   netip.AddrPort
	Resolver transport.Resolver // of the name in Addr, default the system's
	Device   string             // name of the board, for the cloud's log
	Version  string             // of the board's software
	// Protocol is the newest version of the protocol that is spoken, as by an older board;
	// default wire.Protocol.
	Protocol uint32
	// Epoch numbers the connections of this device. Of two connections that
	// open the same session the higher epoch has it. Epochs, where given,
	// draws the number instead.
	Epoch  uint64
	Epochs Epochs
	// Tickets lets a dial send its first request in its first flight; nil
	// makes every dial a fresh one.
	Tickets transport.Tickets
	Time    func() time.Time // for certificates and tickets, default time.Now; see clock.Floor
	Log     *slog.Logger     // default: none

	// Disclosure is what this board was enrolled to send; unset, it is for the cloud
	// to refuse.
	Disclosure trust.Disclosure

	Socket    net.PacketConn // default: a new UDP socket; one given stays open
	Idle      time.Duration  // silence that ends the connection, default 2 s
	Handshake time.Duration  // silence that ends a dial, default 3 s

	// NewSocket makes the sockets of dials and migrations in place of Socket;
	// the connection closes them. Default: UDP on any port.
	NewSocket func() (net.PacketConn, error)

	// Proxy is the HTTP proxy for TCP, as "http://host:port"; "" takes what the
	// environment says in HTTPS_PROXY, and NoProxy none.
	Proxy string

	hooks  hooks // of a Link
	moves  wire.Moves
	bundle []byte // that is wanted, for the cloud's choice of a worker
	flight *transport.FirstFlight
	tcp    bool
	small  bool // packets stay as small as they begin
	// towards returns this machine's address on the way to the cloud; default
	// by the kernel's routes.
	towards func() net.IP
}

// Epochs numbers the connections of this board, so that neither a restart nor a
// power cut uses a number twice.
type Epochs interface {
	NextEpoch() (uint64, error)
	// JumpEpoch makes NextEpoch return more than past.
	JumpEpoch(past uint64) error
	// ResetEpoch makes NextEpoch return past+1, also where that is lower than
	// before.
	ResetEpoch(past uint64) error
}

// transport returns what the transport needs to know of c.
func (c Config) transport() transport.Options {
	return transport.Options{
		Addr: c.Addr, TLS: c.TLS, Remote: c.Remote, Resolver: c.Resolver, Tickets: c.Tickets, Time: c.Time, Log: c.Log,
		Socket: c.Socket, Idle: c.Idle, Handshake: c.Handshake, NewSocket: c.NewSocket,
		Flight: c.flight, SmallPackets: c.small, Towards: c.towards, TCP: c.tcp, Proxy: c.Proxy,
	}
}

// Client is one connection to a cloud. Its methods may be called concurrently.
type Client struct {
	conf Config
	conn transport.Conn
	log  *slog.Logger
	done chan struct{}
	wg   sync.WaitGroup

	probes *probes
	heard  atomic.Int64 // when the cloud answered an ask last, Unix ns
	// fetching is how many pieces of files are waited for.
	fetching atomic.Int32
	settled  notify.Broadcast // an ask no longer waits here

	mu       sync.Mutex // guards all following
	err      error      // why the client ended
	sessions map[wire.SessionID]*session.Attachment
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
	if conf.moves == wire.MovesNot { // no link, which would follow
		conf.moves = wire.Visits
	}
	if conf.Epochs != nil {
		n, err := conf.Epochs.NextEpoch()
		if err != nil {
			return nil, fmt.Errorf("number the connection to cloud %s: %w", conf.Addr, err)
		}
		conf.Epoch = n
	}
	conn, err := transport.Dial(ctx, conf.transport())
	if err != nil {
		return nil, linkerr.OfConnection(conf.Addr, err)
	}
	c := &Client{
		conf: conf, conn: conn, log: conf.Log,
		done: make(chan struct{}), sessions: map[wire.SessionID]*session.Attachment{}, probes: newProbes(),
	}
	control, err := conn.OpenStream(ctx, transport.UrgencyControl)
	if err == nil {
		err = c.hello(control)
	}
	if err != nil {
		err = c.lost(err) // before closing it becomes the reason
		conn.Close(transport.CodeShutdown, "no control stream")
		return nil, err
	}
	c.wg.Go(func() { c.readControl(control) })
	c.wg.Go(func() { c.writeControl(control) })
	return c, nil
}

// Confirmed is closed once the cloud has shown that it is there, and never when
// it has not: wait for Done too. After a Dial without a ticket it is closed.
func (c *Client) Confirmed() <-chan struct{} { return c.conn.HandshakeComplete() }

// Used0RTT reports whether what was sent before Confirmed went into the first
// flight and was accepted. It is final once Confirmed is closed.
func (c *Client) Used0RTT() bool { return c.conn.Used0RTT() }

// RemoteAddr is the address of the cloud that answered.
func (c *Client) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Epoch is the number of the connection.
func (c *Client) Epoch() uint64 { return c.conf.Epoch }

// Stats returns the counters of the connection.
func (c *Client) Stats() transport.Stats { return c.conn.Stats() }

// Welcome returns what the cloud said of itself, and false before it did.
func (c *Client) Welcome() (wire.Welcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.welcome == nil {
		return wire.Welcome{}, false
	}
	return *c.welcome, true
}

// AwaitWelcome waits until the cloud has said what it is. It returns why the
// connection ended, or the context's error.
func (c *Client) AwaitWelcome(ctx context.Context) (wire.Welcome, error) {
	select {
	case <-c.probes.welcome:
		w, _ := c.Welcome()
		return w, nil
	case <-c.Done():
		return wire.Welcome{}, c.Err()
	case <-ctx.Done():
		return wire.Welcome{}, linkerr.At(c.conf.Addr, ctx.Err())
	}
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
	c.end(linkerr.ErrClosed)
	err := c.conn.Close(transport.CodeNone, "")
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
	attached := slices.Collect(maps.Values(c.sessions))
	close(c.done)
	c.probes.out.Close(nil)
	c.mu.Unlock()
	for _, a := range attached {
		a.Lose(err)
	}
	if !errors.Is(err, linkerr.ErrClosed) {
		c.log.Warn("cloud lost", "cloud", c.conf.Addr, "err", err)
	}
}

// lost returns err as the loss of the connection, with the reason the
// connection gives where it has one.
func (c *Client) lost(err error) error {
	if cause := context.Cause(c.conn.Context()); cause != nil {
		err = cause
	}
	return linkerr.OfConnection(c.conf.Addr, err)
}
