package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Dial opens the one stream of an enrolment connection to host:port, with ALPN
// as the only protocol offered. Nothing is sent before the handshake is done.
type Dial func(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error)

// ErrUnreachable is wrapped where no address of the cloud answers.
var ErrUnreachable = errors.New("the cloud is not reachable")

// replyTime bounds one address: handshake, request and reply.
const replyTime = 10 * time.Second

// exchange sends q to the first of addrs that answers, checking the cloud with
// pinned. The error is the most telling one.
func exchange(ctx context.Context, dial Dial, addrs []string, pinned *tls.Config, q *request) (*reply, error) {
	if len(addrs) == 0 {
		return nil, refuse(ErrUnreachable, "no address is known (give --cloud HOST:PORT)")
	}
	var worst error
	for _, addr := range addrs {
		r, err := exchangeOne(ctx, dial, addr, pinned.Clone(), q)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if worst == nil || !errors.Is(err, ErrUnreachable) {
			worst = err
		}
	}
	return nil, worst
}

func exchangeOne(ctx context.Context, dial Dial, addr string, conf *tls.Config, q *request) (*reply, error) {
	if err := checkAddr(addr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	var verdict atomic.Pointer[error] // the transport may hide it
	check := conf.VerifyConnection
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		err := check(cs)
		if err != nil {
			verdict.Store(&err)
		}
		return err
	}
	conn, err := dial(ctx, addr, conf)
	if err != nil {
		if v := verdict.Load(); v != nil {
			return nil, fmt.Errorf("cloud %s: %w", addr, *v)
		}
		return nil, unreachable(addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeMessage(conn, q); err != nil {
		return nil, unreachable(addr, err)
	}
	var r reply
	if err := readMessage(conn, &r); errors.Is(err, ErrProtocol) {
		return nil, fmt.Errorf("cloud %s: %w (do both run the same version of skerry?)", addr, err)
	} else if err != nil {
		return nil, unreachable(addr, err)
	}
	if r.Status != statusOK {
		return nil, fmt.Errorf("cloud %s: %w", addr, &remoteError{r.Status, r.Text})
	}
	return &r, nil
}

func unreachable(addr string, err error) error {
	return fmt.Errorf("%w: %s: %w (is `skerry cloud` running there with certificates of its own, and may UDP or TCP pass?)", ErrUnreachable, addr, err)
}

// pinned checks the cloud by the authority's fingerprint alone: no name of a
// host and no date counts, since a board's clock may be years off.
func pinned(want [fingerprintLen]byte) *tls.Config {
	return pin(func(cert *x509.Certificate) bool { return fingerprint(cert) == want })
}

func pin(trusted func(*x509.Certificate) bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName, NextProtos: []string{ALPN},
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, ca := range cs.PeerCertificates[1:] {
				if trusted(ca) {
					leaf := cs.PeerCertificates[0]
					if err := signedBy(leaf, ca, x509.ExtKeyUsageServerAuth); err != nil {
						return refuse(ErrWrongCloud, "%v", err)
					}
					return leaf.VerifyHostname(ServerName)
				}
			}
			return refuse(ErrWrongCloud, "its certificate authority is another one (check the address, and that the code is of this cloud)")
		},
	}
}
