package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"sync"
	"time"

	"skerry/cloudlink/trust"
)

// maxEnrolling bounds how many enrolment connections there are at once, and
// enrollingEach those of one address: they come from anyone.
const (
	maxEnrolling  = 32
	enrollingEach = 8
)

// enrolTime bounds an enrolment connection; a variable for tests.
var enrolTime = 10 * time.Second

// errCrowded ends an enrolment that makes room for another.
var errCrowded = errors.New("too many boards enrol at once: try again")

// Enrolment answers the one request of an enrolment connection: trust.Registrar does.
type Enrolment interface {
	Serve(rw io.ReadWriter, peer []*x509.Certificate) error
}

// WithEnrolment keeps the connections of ln that are for enrolment, and has e
// answer them while someone waits in Accept for others.
func WithEnrolment(ln Listener, e Enrolment) Listener {
	l := &enrolling{Listener: ln, serve: e, preauth: newPreauth(maxEnrolling, enrollingEach)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

type enrolling struct {
	Listener
	serve   Enrolment
	preauth *preauth
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// secured is a Conn that can say what TLS agreed on.
type secured interface{ TLSState() tls.ConnectionState }

func (c *quicConn) TLSState() tls.ConnectionState { return c.ConnectionState().TLS }
func (c *muxConn) TLSState() tls.ConnectionState  { return c.tls.ConnectionState() }

// peerName is the common name of the peer's certificate, empty where the protocol
// lets anyone in.
func peerName(cs tls.ConnectionState) string {
	if len(cs.PeerCertificates) == 0 || cs.NegotiatedProtocol != ALPN {
		return ""
	}
	return cs.PeerCertificates[0].Subject.CommonName
}

func (l *enrolling) Accept(ctx context.Context) (Conn, error) {
	for {
		c, err := l.Listener.Accept(ctx)
		if err != nil {
			return nil, err
		}
		s, ok := c.(secured)
		if !ok || s.TLSState().NegotiatedProtocol != trust.ALPN {
			return c, nil
		}
		ctx, cut := context.WithCancelCause(l.ctx)
		guest := l.preauth.enter(c.RemoteAddr(), func() bool { return false }, func() { cut(errCrowded) })
		l.wg.Go(func() {
			defer cut(nil)
			defer guest.leave()
			l.enrol(ctx, c, s)
		})
	}
}

// enrol answers one request. It waits for the handshake first: what comes
// earlier may be a replay.
func (l *enrolling) enrol(ctx context.Context, c Conn, s secured) {
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	defer func() {
		if context.Cause(ctx) == errCrowded {
			c.Close(CodeRefused, errCrowded.Error())
			return
		}
		c.Close(CodeNone, "")
	}()
	select {
	case <-c.HandshakeComplete():
	case <-c.Context().Done():
		return
	case <-ctx.Done():
		return
	}
	stream, err := c.AcceptStream(ctx, UrgencyAsk)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() {
		stream.CancelRead(CodeShutdown)
		stream.CancelWrite(CodeShutdown)
	})
	defer stop()
	err = l.serve.Serve(stream, s.TLSState().PeerCertificates)
	stream.Close()
	if err != nil {
		return
	}
	select { // the board closes once it has the reply
	case <-c.Context().Done():
	case <-ctx.Done():
	}
}

// Close also waits for enrolments that are under way.
func (l *enrolling) Close() error {
	l.cancel()
	l.wg.Wait()
	return l.Listener.Close()
}
