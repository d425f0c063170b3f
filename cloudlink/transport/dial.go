package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// Silence of the peer for DefaultIdle ends a connection; a packet every third
// of it keeps an idle one alive. The silence counts from the first packet sent
// into it (RFC 9000 section 10.1), so that a dead peer is noticed after 4/3 of
// DefaultIdle at the latest, or three probe timeouts where those take longer.
const (
	DefaultIdle      = 2 * time.Second
	DefaultHandshake = 3 * time.Second
)

// LinkIdle is the silence that ends a connection that is kept for long, and any of
// the cloud's side. Who needs to know sooner asks, and only when it matters; the
// rare packet that keeps the path through a NAT open costs less than 1 MB a day.
const (
	LinkIdle      = 3 * time.Minute
	mostKeepAlive = 25 * time.Second
)

// firstPacket is the size in bytes of the packets that a connection begins with,
// the least that QUIC asks of a path (RFC 9000 section 14.1): a path of 1280 bytes,
// as of many tunnels, takes no more. A connection finds out by itself what more
// passes (RFC 8899).
const firstPacket = 1200

// quicConfig holds for both sides. Stream and flow limits may grow with a
// release and never shrink: a smaller one makes resumed connections lose the
// data of their first flight.
func quicConfig(idle, handshake time.Duration) *quic.Config {
	idle = cmp.Or(idle, DefaultIdle)
	return &quic.Config{
		InitialPacketSize:          firstPacket,
		MaxIdleTimeout:             idle,
		KeepAlivePeriod:            min(idle/3, mostKeepAlive),
		HandshakeIdleTimeout:       cmp.Or(handshake, DefaultHandshake),
		MaxIncomingStreams:         1 << 10,
		MaxIncomingUniStreams:      1 << 10,
		MaxStreamReceiveWindow:     2 << 20,
		MaxConnectionReceiveWindow: 16 << 20,
	}
}

func withALPN(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{ALPN}
	return conf
}

// Options say how to reach a cloud. Addr and TLS are needed; of the rest every
// zero value works.
type Options struct {
	Addr string      // host:port, of UDP and of TCP
	TLS  *tls.Config // the cloud's CA and this device's certificate
	// Remote is which of the addresses of Addr to dial by QUIC, where that is known;
	// else all of them are, by turns, until one answers (RFC 8305).
	Remote   netip.AddrPort
	Resolver Resolver // of the name in Addr, default the system's
	// Tickets lets a dial send its first request in its first flight; nil makes
	// every dial a fresh one.
	Tickets Tickets
	Time    func() time.Time // for certificates and tickets, default time.Now
	Log     *slog.Logger     // default: none

	Socket    net.PacketConn // default: a new UDP socket; one that is given stays open
	Idle      time.Duration  // silence that ends the connection, default DefaultIdle
	Handshake time.Duration  // silence that ends a dial, default DefaultHandshake

	// NewSocket makes the sockets of dials and migrations in place of Socket;
	// the connection closes them. Default: UDP on any port.
	NewSocket func() (net.PacketConn, error)
	// Flight is told the first datagrams of the dial, so that they can be sent
	// again; nil: only QUIC itself repeats them.
	Flight *FirstFlight
	// SmallPackets keeps packets at the size that they begin with, for paths that
	// swallow larger ones.
	SmallPackets bool
	// Towards returns this machine's address on the way to the cloud, nil where there
	// is no route; default by the kernel's routes.
	Towards func() net.IP

	// TCP dials TLS on TCP, through a proxy where there is one, in place of QUIC.
	TCP bool
	// Proxy is the HTTP proxy for TCP, as "http://host:port"; "" takes what the
	// environment says in HTTPS_PROXY, and NoProxy none.
	Proxy string
}

// Dial connects to a cloud with mutual TLS 1.3 and opens no stream yet. With a
// session ticket it returns at once and what is written goes into the first
// flight; whether the cloud is there shows later, in Conn.Context. Otherwise it
// takes one round trip. The context bounds the dial only.
//
// The errors are those of package net (no such name, no route, a timeout), of
// package tls (IsUntrusted tells whether one side did not trust the other's
// certificate), of quic-go, and the proxy's; over TCP the context's own. Where
// several addresses were dialled, the error joins one of each.
func Dial(ctx context.Context, o Options) (Conn, error) {
	if o.TCP {
		return dialTCP(ctx, o)
	}
	remotes, err := o.Remotes(ctx)
	if err != nil {
		return nil, err
	}
	delay := AttemptDelay
	if o.Socket != nil { // which takes one dial at a time
		delay = 0
	}
	c, errs := Race(ctx, remotes, delay, func(ctx context.Context, _ int, remote netip.AddrPort) (Conn, error) {
		c, err := dialRemote(ctx, o, udpAddr(remote))
		if err == nil && len(remotes) > 1 {
			err = confirmed(ctx, c)
		}
		return c, err
	}, func(c Conn) { c.Close(CodeShutdown, "") }, nil)
	return c, joined(errs)
}

// joined is the error of dials that failed; that of one alone stays as it is.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// confirmed waits until the peer of c has shown that it is there, and closes c where
// it does not.
func confirmed(ctx context.Context, c Conn) (err error) {
	select {
	case <-c.HandshakeComplete():
		return nil
	case <-c.Context().Done():
		err = context.Cause(c.Context())
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.Close(CodeShutdown, "")
	return err
}

// dialRemote is Dial by QUIC to one address.
func dialRemote(ctx context.Context, o Options, addr *net.UDPAddr) (Conn, error) {
	sock, err := o.socket()
	if err != nil {
		return nil, err
	}
	tlsConf := withALPN(o.TLS)
	if tlsConf.ServerName == "" {
		tlsConf.ServerName, _, _ = net.SplitHostPort(o.Addr)
	}
	if o.Time != nil {
		tlsConf.Time = o.Time
	}
	qc := quicConfig(o.Idle, o.Handshake)
	qc.DisablePathMTUDiscovery = o.SmallPackets
	var tickets *ticketCache
	if o.Tickets != nil {
		tickets = newTicketCache(o, tlsConf)
		tlsConf.ClientSessionCache = tickets
		qc.TokenStore = wholeFlight{}
	}
	tr := &quic.Transport{Conn: sock}
	moved := newPaths(o, addr)
	shut := sync.OnceFunc(func() {
		tr.Close()
		moved.close()
		if o.Socket == nil {
			sock.Close()
		}
		tickets.wait()
	})
	c, err := tr.DialEarly(ctx, addr, tlsConf, qc)
	if err != nil {
		if !IsUntrusted(err) {
			tickets.unanswered()
		}
		shut()
		return nil, err
	}
	conn := &quicConn{Conn: c, done: shut, paths: moved}
	select {
	case <-c.HandshakeComplete():
		return conn, nil
	default:
		tickets.watch(conn)
		return newEarlyConn(conn), nil
	}
}

// IsUntrusted reports whether err is the TLS refusal of a certificate, by either
// side (RFC 9001 section 4.8).
func IsUntrusted(err error) bool {
	var t *quic.TransportError
	var alert tls.AlertError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &t) && t.ErrorCode.IsCryptoError() ||
		errors.As(err, &alert) || errors.As(err, &cert)
}
