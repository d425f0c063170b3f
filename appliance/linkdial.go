package main

import (
	"context"
	"errors"
	"net"
	"time"

	"skerry/cloudlink"
)

// connect tells whether UDP passes and whether both sides know each other.
func (t *linkTest) connect() *cloudlink.Client {
	client, err := t.dial()
	switch {
	case err == nil:
		t.pass("udp", "QUIC reaches the cloud")
		t.pass("identity", "the cloud is the one expected, and takes this board")
		return client
	case errors.Is(err, cloudlink.ErrUnauthorized):
		t.pass("udp", "QUIC reaches a cloud")
		todo := "enroll this board anew: `skerry cloud invite` there, `skerry enroll CODE` here"
		if t.id == nil {
			todo = "that cloud has certificates of its own: enroll this board with it (`skerry cloud invite` there, `skerry enroll CODE` here)"
		}
		t.fail("identity", oneLine(err), todo)
	default:
		t.fail("udp", oneLine(err), "check that `skerry cloud` runs there and that no firewall drops UDP to "+t.cloud)
		t.skip("not without UDP", "identity")
	}
	return nil
}

// dial connects and waits until the cloud has said what it is.
func (t *linkTest) dial() (*cloudlink.Client, error) {
	for try := 0; ; try++ {
		client, err := t.dialOnce()
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

func (t *linkTest) dialOnce() (*cloudlink.Client, error) {
	ctx, cancel := context.WithTimeout(t.ctx, stepTime)
	defer cancel()
	client, err := cloudlink.Dial(ctx, cloudlink.Config{
		Addr: t.cloud, TLS: t.tls, Device: "link test", Version: version, Epochs: &t.epochs, Tickets: &t.tickets,
	})
	if err != nil {
		return nil, err
	}
	for tick := time.NewTicker(time.Millisecond); ; {
		if _, ok := client.Welcome(); ok {
			tick.Stop()
			return client, nil
		}
		select {
		case <-tick.C:
			continue
		case <-client.Done():
			err = client.Err()
		case <-ctx.Done():
			err = errors.New("the cloud does not say what it is (do both run the same version of skerry?)")
		}
		tick.Stop()
		client.Close()
		return nil, err
	}
}

// tcp looks whether the way around a network without UDP is open.
func (t *linkTest) tcp() {
	d := net.Dialer{Timeout: stepTime}
	conn, err := d.DialContext(t.ctx, "tcp", t.cloud)
	if err != nil {
		t.fail("tcp", oneLine(err), "open TCP to "+t.cloud+" too: it is the way out of networks that block UDP")
		return
	}
	conn.Close()
	t.pass("tcp", "the port for networks without UDP is open")
}
