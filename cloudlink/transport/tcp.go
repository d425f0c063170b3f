package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"skerry/cloudlink/trust"
)

const (
	// maxHandshakes bounds the TCP peers whose certificates are being checked, and
	// handshakesEach those of one address, behind which there may be many boards.
	maxHandshakes  = 256
	handshakesEach = 64
)

// handshakeTime is how long each may take; a variable for tests.
var handshakeTime = 10 * time.Second

// dialTCP is Dial over TLS 1.3 on TCP, through the proxy that o or the environment
// names.
func dialTCP(ctx context.Context, o Options) (Conn, error) {
	raw, err := o.dialThrough(ctx)
	if err != nil {
		return nil, err
	}
	tlsConf := withALPN(o.TLS)
	if tlsConf.ServerName == "" {
		tlsConf.ServerName, _, _ = net.SplitHostPort(o.Addr)
	}
	return overTCP(ctx, raw, tlsConf)
}

// overTCP makes a connection of raw, which it then owns.
func overTCP(ctx context.Context, raw net.Conn, conf *tls.Config) (Conn, error) {
	wire := &countedConn{Conn: raw}
	conn := tls.Client(wire, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	c, err := newMuxConn(conn, wire, true)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// tcpListener accepts TLS connections.
type tcpListener struct {
	ln      net.Listener
	preauth *preauth
	conf    *tls.Config
	conns   chan Conn
	ctx     context.Context
	end     context.CancelCauseFunc
	wg      sync.WaitGroup
}

// ListenTCPOn accepts on ln, which it then owns, what ListenOn accepts on a UDP
// socket: connections of clients whose certificates conf trusts.
func ListenTCPOn(ln net.Listener, conf *tls.Config) Listener {
	conf = withALPN(conf)
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	l := &tcpListener{ln: ln, conf: conf, preauth: newPreauth(maxHandshakes, handshakesEach), conns: make(chan Conn)}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	l.wg.Go(l.run)
	return l
}

func (l *tcpListener) run() {
	for {
		raw, err := l.ln.Accept()
		if err != nil {
			if l.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				select { // out of descriptors, say: others may hang up
				case <-time.After(100 * time.Millisecond):
					continue
				case <-l.ctx.Done():
				}
			}
			l.end(err)
			return
		}
		wire := &countedConn{Conn: raw}
		s := l.preauth.enter(raw.RemoteAddr(), func() bool { return wire.down.Load() == 0 }, func() { raw.Close() })
		l.wg.Go(func() {
			defer s.leave()
			l.handshake(wire, s)
		})
	}
}

// handshake checks one peer and hands its connection to Accept.
func (l *tcpListener) handshake(wire *countedConn, s *preauthPeer) {
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTime)
	defer cancel()
	conn := tls.Server(wire, l.conf)
	err := conn.HandshakeContext(ctx)
	st := conn.ConnectionState()
	known := st.NegotiatedProtocol == ALPN && len(st.VerifiedChains) > 0
	if err != nil || !known && st.NegotiatedProtocol != trust.ALPN {
		wire.Close() // a configuration chosen for this client may have asked for less
		return
	}
	if known {
		s.leave()
	}
	c, err := newMuxConn(conn, wire, false)
	if err != nil {
		wire.Close()
		return
	}
	select {
	case l.conns <- c:
	case <-l.ctx.Done():
		c.Close(CodeShutdown, "stopping")
	}
}

func (l *tcpListener) Accept(ctx context.Context) (Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.ctx.Done():
		return nil, context.Cause(l.ctx)
	}
}

func (l *tcpListener) Addr() net.Addr { return l.ln.Addr() }

func (l *tcpListener) Close() error {
	l.end(net.ErrClosed)
	err := l.ln.Close()
	l.wg.Wait()
	return err
}

// listenTCP opens the TCP port of the same number as udp's.
func listenTCP(udp Listener, conf *tls.Config) (Listener, error) {
	ln, err := net.Listen("tcp", udp.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("listen on TCP %s, for boards whose network blocks UDP: %w", udp.Addr(), err)
	}
	return ListenTCPOn(ln, conf), nil
}
