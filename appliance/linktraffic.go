package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"skerry/appliance/bundle"
	"skerry/cloudlink"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// resume dials again with the ticket of the first connection, and returns the
// connection to go on with.
func (t *linkTest) resume(client *cloudlink.Client) *cloudlink.Client {
	if !t.tickets.await(t.ctx, stepTime) {
		t.fail("0-rtt", "the cloud gave no session ticket", "update the cloud: without one every connection takes a round trip more")
		return client
	}
	again, err := t.dial()
	if err != nil {
		t.fail("0-rtt", "the second connection failed: "+oneLine(err), "run this again; if it stays so, look at the cloud's log")
		return client
	}
	client.Close()
	select {
	case <-again.Confirmed():
	case <-again.Done():
	}
	if !again.Used0RTT() {
		t.fail("0-rtt", "the cloud did not take the first flight of a resumed connection", "some networks drop it; it only costs a round trip per connection")
		return again
	}
	t.pass("0-rtt", "a resumed connection sent its request in its first flight")
	return again
}

func (t *linkTest) maySee() trust.May {
	if t.id == nil {
		t.skip("development: everything", "may-see")
		return trust.Text
	}
	switch t.id.May {
	case trust.Nothing:
		t.pass("may-see", "nothing: this board never asks the cloud")
	case trust.Hidden:
		t.pass("may-see", "hidden states, no tokens")
	default:
		t.pass("may-see", "text")
	}
	return t.id.May
}

// uplinkRows is how many hidden states go up to measure goodput, which fit the
// context of any cloud, and uplinkTime how long that may take.
const (
	uplinkRows = 64
	uplinkTime = 10 * time.Second
)

// traffic opens a session and sends hidden states that mean nothing.
func (t *linkTest) traffic(client *cloudlink.Client, may trust.May) {
	welcome, _ := client.Welcome()
	if may == trust.Nothing {
		t.skip("this board sends nothing", "bundle", "goodput")
		return
	}
	dir := t.bundle
	if dir == "" {
		if cache, err := bundle.CacheDir(); err == nil {
			dir = defaultBundleDir(cache)
		}
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil && t.bundle == "" {
		t.skip("no model is prepared here: give --bundle DIR", "bundle", "goodput")
		return
	}
	if err != nil {
		t.fail("bundle", oneLine(err), "give the directory of a bundle with --bundle")
		t.skip("not without a bundle", "goodput")
		return
	}
	id := m.ID()
	known := false
	for _, b := range welcome.Bundles {
		known = known || b.ID == wire.Hash(id)
	}
	if !known {
		t.fail("bundle", fmt.Sprintf("the cloud does not serve %s (%x); it has %s", m.Name, id[:6], bundleNames(welcome.Bundles)),
			"serve it there with `skerry cloud --bundle DIR`, or use one that the cloud has")
		t.skip("not without a bundle", "goodput")
		return
	}
	t.pass("bundle", "the cloud serves %s (%x)", m.Name, id[:6])
	t.goodput(client, m)
}

func bundleNames(all []wire.BundleName) (s string) {
	for _, b := range all {
		s += fmt.Sprintf(" %s (%x)", b.Name, b.ID[:6])
	}
	if s == "" {
		return "none"
	}
	return s[1:]
}

// goodput is how fast hidden states arrive, by the cloud's receipts.
func (t *linkTest) goodput(client *cloudlink.Client, m *bundle.Manifest) {
	ctx, cancel := context.WithTimeout(t.ctx, uplinkTime)
	defer cancel()
	rows := uplinkRows
	s, err := client.OpenSession(ctx, cloudlink.SessionOptions{Bundle: wire.Hash(m.ID()), Width: m.Embedding, Context: rows})
	if err == nil {
		defer s.Close()
		err = s.Ready(ctx)
	}
	if err != nil {
		t.fail("goodput", oneLine(err), "if the cloud is busy, try again; else look at its log")
		return
	}
	hidden := make([]float32, m.Embedding)
	began := time.Now()
	for pos := range rows {
		for i := range hidden {
			hidden[i] = rand.Float32()
		}
		if err := s.Append(pos, hidden); err != nil {
			t.fail("goodput", oneLine(err), "run this again")
			return
		}
	}
	for tick := time.NewTicker(time.Millisecond); ; {
		if s.Stats().Confirmed >= rows {
			tick.Stop()
			break
		}
		select {
		case <-tick.C:
			continue
		case <-s.Done():
			err = s.Err()
		case <-ctx.Done():
			err = fmt.Errorf("%d of %d hidden states arrived within %s", s.Stats().Confirmed, rows, uplinkTime)
		}
		tick.Stop()
		t.fail("goodput", oneLine(err), "the link is too slow or too lossy to ask the cloud over it")
		return
	}
	took := time.Since(began)
	bytes := s.Stats().Bytes
	t.pass("goodput", "%.1f Mbit/s up: %s in %d ms", float64(bytes)*8/took.Seconds()/1e6, bytesText(int64(bytes)), took.Milliseconds())
}

// lossy is the share of lost packets from which on a link is no good.
const lossy = 0.1

func (t *linkTest) quality(client *cloudlink.Client) {
	s := client.Stats()
	loss := float64(s.PacketsLost) / float64(max(s.PacketsSent, 1))
	text := fmt.Sprintf("round trip %.1f ms (%.1f at best), %.1f %% of %d packets lost",
		float64(s.SmoothedRTT.Microseconds())/1000, float64(s.MinRTT.Microseconds())/1000, 100*loss, s.PacketsSent)
	if loss > lossy {
		t.fail("rtt", text, "move closer to the access point, or use another network")
		return
	}
	t.pass("rtt", "%s", text)
}
