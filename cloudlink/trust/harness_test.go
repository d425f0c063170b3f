package trust_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"skerry/build/testleak"
	"skerry/cloudlink/internal/fakestore"
	"skerry/cloudlink/trust"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// cloud is a desk that boards reach over TLS in memory, at any address but
// "gone:1".
type cloud struct {
	*clock
	registrar *trust.Registrar
	store     *fakestore.Store
	state     string
	dropped   []string
	lose      bool // the next reply is lost
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{clock: newClock(), store: &fakestore.Store{}, state: t.TempDir()}
	a, err := trust.CreateAuthority(c.state, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	c.registrar = &trust.Registrar{
		Authority: a, Store: c.store, Now: c.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Dropped: func(device, _ string) { c.dropped = append(c.dropped, device) },
	}
	return c
}

var errGone = errors.New("nobody there")

// dial is a trust.Dial. What it returns ends its server too when it is closed.
func (c *cloud) dial(ctx context.Context, addr string, conf *tls.Config) (io.ReadWriteCloser, error) {
	if addr == "gone:1" {
		return nil, errGone
	}
	board, cloud := net.Pipe()
	served := make(chan struct{})
	lose := c.lose
	c.lose = false
	go func() {
		defer close(served)
		defer cloud.Close()
		s := tls.Server(cloud, c.registrar.TLS())
		if s.HandshakeContext(ctx) == nil {
			var rw io.ReadWriter = s
			if lose {
				rw = deaf{s}
			}
			c.registrar.Serve(rw, s.ConnectionState().PeerCertificates)
		}
	}()
	conn := tls.Client(board, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		board.Close()
		<-served
		return nil, err
	}
	return &piped{conn, board, served}, nil
}

// deaf loses what is written to it.
type deaf struct{ io.Reader }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("lost") }

type piped struct {
	*tls.Conn
	raw    net.Conn
	served chan struct{}
}

func (p *piped) Close() error {
	err := p.raw.Close() // no alert: nobody may read it any more
	<-p.served
	return err
}

func (c *cloud) invite(t testing.TB, name string, may trust.Disclosure) trust.Code {
	t.Helper()
	inv, err := c.registrar.Invite(name, may, time.Hour, []string{"cloud:7537"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := trust.ParseCode(inv.Code)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// options of a board whose clock is right.
func (c *cloud) options(state string) trust.Options {
	return trust.Options{State: state, Dial: c.dial, Now: c.now, Disclosure: trust.Text, Name: "raspberrypi", Software: "test"}
}

// enroll makes a board of that name.
func (c *cloud) enroll(t testing.TB, name string, may trust.Disclosure) trust.Enrolment {
	t.Helper()
	opt := c.options(t.TempDir())
	opt.Disclosure = may
	if may == trust.Unset {
		opt.Disclosure = trust.Text
	}
	r, err := trust.Enroll(t.Context(), c.invite(t, name, may), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
