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

// quicConfig holds for both sides. Stream and flow limits may grow with a
// release and never shrink: a smaller one makes resumed connections lose the
// data of their first flight.
func quicConfig(idle, handshake time.Duration) *quic.Config {
	idle = cmp.Or(idle, DefaultIdle)
	return &quic.Config{
		MaxIdleTimeout:             idle,
		KeepAlivePeriod:            idle / 3,
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
// socket of its own or on conf.Socket. The error is of the transport.
func DialConn(ctx context.Context, conf Config) (Conn, error) {
	addr, err := net.ResolveUDPAddr("udp", conf.Addr)
	if err != nil {
		return nil, err
	}
	sock := conf.Socket
	if sock == nil {
		if sock, err = net.ListenUDP("udp", nil); err != nil {
			return nil, err
		}
	}
	tr := &quic.Transport{Conn: sock}
	shut := sync.OnceFunc(func() {
		tr.Close()
		if conf.Socket == nil {
			sock.Close()
		}
	})
	tlsConf := withALPN(conf.TLS)
	if tlsConf.ServerName == "" {
		tlsConf.ServerName, _, _ = net.SplitHostPort(conf.Addr)
	}
	c, err := tr.Dial(ctx, addr, tlsConf, quicConfig(conf.Idle, conf.Handshake))
	if err != nil {
		shut()
		return nil, err
	}
	return &quicConn{Conn: c, done: shut}, nil
}

// untrusted reports whether err is the TLS refusal of a certificate, by either
// side (RFC 9001 section 4.8).
func untrusted(err error) bool {
	var t *quic.TransportError
	return errors.As(err, &t) && t.ErrorCode.IsCryptoError()
}

type quicListener struct {
	tr    *quic.Transport
	ln    *quic.Listener
	close func() error
}

// Listen accepts connections of clients whose certificates conf trusts, on the
// UDP address addr.
func Listen(addr string, conf *tls.Config) (Listener, error) {
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	sock, err := net.ListenUDP("udp", ua)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	ln, err := ListenOn(sock, conf)
	if err != nil {
		sock.Close()
	}
	return ln, err
}

// ListenOn is Listen on a socket that the listener then owns.
func ListenOn(sock net.PacketConn, conf *tls.Config) (Listener, error) {
	conf = withALPN(conf)
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	tr := &quic.Transport{Conn: sock}
	ln, err := tr.Listen(conf, quicConfig(0, 0))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", sock.LocalAddr(), err)
	}
	return &quicListener{tr: tr, ln: ln, close: sync.OnceValue(func() error {
		ln.Close()
		tr.Close()
		return sock.Close()
	})}, nil
}

func (l *quicListener) Accept(ctx context.Context) (Conn, error) {
	c, err := l.ln.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &quicConn{Conn: c}, nil
}

func (l *quicListener) Addr() net.Addr { return l.ln.Addr() }
func (l *quicListener) Close() error   { return l.close() }
