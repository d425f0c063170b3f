package cloudlink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
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

// LinkIdle is the silence that ends a connection of a Link and of the cloud's
// side. A Link finds out sooner by asking, and only when it matters; the rare
// packet that keeps its path through a NAT open costs less than 1 MB a day.
const (
	LinkIdle      = 3 * time.Minute
	linkKeepAlive = 25 * time.Second
)

// quicConfig holds for both sides. Stream and flow limits may grow with a
// release and never shrink: a smaller one makes resumed connections lose the
// data of their first flight.
func quicConfig(idle, handshake time.Duration) *quic.Config {
	idle = cmp.Or(idle, DefaultIdle)
	return &quic.Config{
		MaxIdleTimeout:             idle,
		KeepAlivePeriod:            min(idle/3, linkKeepAlive),
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

// DialConn makes the connection under a Client, with no stream open yet, on a
// socket of its own or on conf.Socket. With a session ticket it returns at once
// and what is written goes into the first flight; whether the cloud is there
// shows later. The error is of the transport.
func DialConn(ctx context.Context, conf Config) (Conn, error) {
	if conf.tcp {
		return dialTCP(ctx, conf)
	}
	addr, err := net.ResolveUDPAddr("udp", conf.Addr)
	if err != nil {
		return nil, err
	}
	sock, err := conf.socket()
	if err != nil {
		return nil, err
	}
	tlsConf := withALPN(conf.TLS)
	if tlsConf.ServerName == "" {
		tlsConf.ServerName, _, _ = net.SplitHostPort(conf.Addr)
	}
	if conf.Time != nil {
		tlsConf.Time = conf.Time
	}
	qc := quicConfig(conf.Idle, conf.Handshake)
	var tickets *ticketCache
	if conf.Tickets != nil {
		tickets = newTicketCache(conf, tlsConf)
		tlsConf.ClientSessionCache = tickets
		qc.TokenStore = wholeFlight{}
	}
	tr := &quic.Transport{Conn: sock}
	moved := newPaths(conf, addr)
	shut := sync.OnceFunc(func() {
		tr.Close()
		moved.close()
		if conf.Socket == nil {
			sock.Close()
		}
		tickets.wait()
	})
	c, err := tr.DialEarly(ctx, addr, tlsConf, qc)
	if err != nil {
		if !untrusted(err) {
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

// untrusted reports whether err is the TLS refusal of a certificate, by either
// side (RFC 9001 section 4.8).
func untrusted(err error) bool {
	var t *quic.TransportError
	var alert tls.AlertError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &t) && t.ErrorCode.IsCryptoError() ||
		errors.As(err, &alert) || errors.As(err, &cert)
}

// Listen is ListenOptions.Listen with the defaults.
func Listen(addr string, conf *tls.Config) (Listener, error) {
	return ListenOptions{}.Listen(addr, conf)
}

// ListenOn is ListenOptions.ListenOn with the defaults.
func ListenOn(sock net.PacketConn, conf *tls.Config) (Listener, error) {
	return ListenOptions{}.ListenOn(sock, conf)
}

// Listen accepts connections of clients whose certificates conf trusts, on the
// UDP address addr and, for networks that block UDP, on the TCP port of the same
// number.
func (o ListenOptions) Listen(addr string, conf *tls.Config) (Listener, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	for tries := 0; ; tries++ {
		ln, err := o.listen(ua, conf)
		if err == nil || ua.Port != 0 || tries >= freePorts {
			return ln, err
		}
	}
}

// freePorts is how many ports that the kernel gave for UDP may be taken for TCP.
const freePorts = 16

func (o ListenOptions) listen(addr *net.UDPAddr, conf *tls.Config) (Listener, error) {
	sock, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	udp, err := o.ListenOn(sock, conf)
	if err != nil {
		sock.Close()
		return nil, err
	}
	if o.NoTCP {
		return udp, nil
	}
	tcp, err := listenTCP(udp, conf)
	if err != nil {
		udp.Close()
		return nil, err
	}
	return Both(udp, tcp), nil
}

// ListenOnBoth is Listen on a UDP socket and a TCP listener that somebody else has
// opened, such as systemd; both are then the listener's. Without the second boards
// whose network blocks UDP are alone.
func (o ListenOptions) ListenOnBoth(sock net.PacketConn, stream net.Listener, conf *tls.Config) (Listener, error) {
	udp, err := o.ListenOn(sock, conf)
	if err != nil || stream == nil {
		return udp, err
	}
	return Both(udp, ListenTCPOn(stream, conf)), nil
}

// ListenOn is Listen on a socket that the listener then owns.
func (o ListenOptions) ListenOn(sock net.PacketConn, conf *tls.Config) (Listener, error) {
	tr := &quic.Transport{Conn: sock}
	ring := o.prepare(tr, conf)
	qc := quicConfig(LinkIdle, 0)
	qc.KeepAlivePeriod = 0 // the board keeps its way through a NAT open
	qc.Allow0RTT = true
	grown := newWindows(maxWindows)
	qc.AllowConnectionWindowIncrease = grown.allow
	ln, err := tr.ListenEarly(ring.config(conf), qc)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", sock.LocalAddr(), err)
	}
	return newQUICListener(ln, grown, func() error {
		ln.Close()
		tr.Close()
		return sock.Close()
	}), nil
}
