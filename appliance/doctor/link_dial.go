package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"skerry/appliance/status"
	"skerry/cloudlink"
)

// connect dials the addresses of the enrolment in turn, once, and goes on with the first
// that answers, be it with a no; with the first of all where none does.
func (t *LinkTest) connect(ctx context.Context) {
	if t.dialled {
		return
	}
	t.dialled = true
	if len(t.clouds) < 2 {
		t.client, t.failed = t.dial(ctx)
		return
	}
	for _, t.cloud = range t.clouds {
		t.remote = netip.AddrPort{}
		client, err := t.dial(ctx)
		if err == nil || errors.As(err, new(*cloudlink.RemoteError)) {
			t.client, t.failed = client, err
			return
		}
		t.silent = append(t.silent, t.cloud)
		if t.failed == nil {
			t.failed = err
		}
	}
	t.cloud = t.clouds[0]
}

// dial connects and waits until the cloud has said what it is.
func (t *LinkTest) dial(ctx context.Context) (*cloudlink.Client, error) {
	for try := 0; ; try++ {
		client, err := t.dialOnce(ctx)
		// The cloud counts connections: one that is past this count says so.
		if !errors.Is(err, cloudlink.ErrStale) || try == 2 {
			return client, err
		}
		var r *cloudlink.RemoteError
		if errors.As(err, &r) {
			t.epochs.JumpEpoch(r.Epoch)
		}
	}
}

func (t *LinkTest) dialOnce(ctx context.Context) (*cloudlink.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	client, err := cloudlink.Dial(ctx, cloudlink.Config{
		Addr: t.cloud, TLS: t.tls, Device: "link test", Version: t.opt.Version, Epochs: &t.epochs, Tickets: t.tickets,
		Remote: t.remote,
	})
	if err != nil {
		return nil, err
	}
	if _, err = client.AwaitWelcome(ctx); err == nil {
		if a, ok := client.RemoteAddr().(*net.UDPAddr); ok { // of the addresses of the name
			t.remote = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), uint16(a.Port))
		}
		return client, nil
	}
	client.Close()
	if ctx.Err() != nil {
		err = errors.New("the cloud does not say what it is (do both run the same version of skerry?)")
	}
	return nil, err
}

// udp tells by what came of dialling whether UDP passes.
func (t *LinkTest) udp(ctx context.Context) Findings {
	t.connect(ctx)
	switch {
	case t.failed == nil && len(t.silent) > 0:
		return pass("QUIC reaches the cloud at %s; it does not answer at %s", t.cloud, strings.Join(t.silent, ", "))
	case t.failed == nil, errors.Is(t.failed, cloudlink.ErrRevoked):
		return pass("QUIC reaches the cloud")
	case errors.Is(t.failed, cloudlink.ErrUnauthorized):
		return pass("QUIC reaches a cloud")
	}
	return t.noUDP(ctx)
}

// identity tells by the same whether both sides know each other.
func (t *LinkTest) identity(context.Context) Findings {
	switch {
	case t.failed == nil:
		return pass("the cloud is the one expected, and takes this board")
	case errors.Is(t.failed, cloudlink.ErrRevoked):
		return fail("the cloud is the one expected, and has revoked this board", "if that was a mistake: `skerry cloud invite --name "+t.id.Device+"` there, `skerry enroll CODE` here")
	case !errors.Is(t.failed, cloudlink.ErrUnauthorized):
		return skip("not without UDP")
	case t.id == nil:
		return fail(status.OneLine(t.failed), "that cloud has certificates of its own: enroll this board with it (`skerry cloud invite` there, `skerry enroll CODE` here)")
	}
	return fail(status.OneLine(t.failed), "enroll this board anew: `skerry cloud invite` there, `skerry enroll CODE` here")
}

// tcp looks whether the way around a network without UDP is open.
func (t *LinkTest) tcp(ctx context.Context) Findings {
	d := net.Dialer{Timeout: stepTime}
	conn, err := d.DialContext(ctx, "tcp", t.cloud)
	if err != nil {
		return fail(status.OneLine(err), "open TCP to "+t.cloud+" too: it is the way out of networks that block UDP")
	}
	conn.Close()
	return pass("the port for networks without UDP is open")
}
