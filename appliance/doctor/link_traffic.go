package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// zeroRTT dials again with the ticket of the first connection; the checks that follow go
// on with the new one.
func (t *LinkTest) zeroRTT(ctx context.Context) Findings {
	if !t.tickets.await(ctx, stepTime) {
		return fail("the cloud gave no session ticket", "update the cloud: without one every connection takes a round trip more")
	}
	again, err := t.dial(ctx)
	if err != nil {
		return fail("the second connection failed: "+status.OneLine(err), "run this again; if it stays so, look at the cloud's log")
	}
	t.client.Close()
	t.client = again
	select {
	case <-again.Confirmed():
	case <-again.Done():
	}
	if !again.Used0RTT() {
		return fail("the cloud did not take the first flight of a resumed connection", "some networks drop it; it only costs a round trip per connection")
	}
	return pass("a resumed connection sent its request in its first flight")
}

func (t *LinkTest) maySee(context.Context) Findings {
	if t.id == nil {
		return skip("development: everything")
	}
	switch t.id.Disclosure {
	case trust.Nothing:
		return pass("nothing: this board never asks the cloud")
	case trust.Hidden:
		return pass("hidden states, no tokens")
	}
	return pass("text")
}

// bundle tells whether the cloud serves this board's model.
func (t *LinkTest) bundle(context.Context) Findings {
	if t.id != nil && t.id.Disclosure == trust.Nothing {
		t.unsent = "this board sends nothing"
		return skip(t.unsent)
	}
	dir := t.opt.Bundle
	if dir == "" {
		if cache, err := fetch.CacheDir(); err == nil {
			dir = prepare.DefaultDir(cache)
		}
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil && t.opt.Bundle == "" {
		t.unsent = "no model is prepared here: give --bundle DIR"
		return skip(t.unsent)
	}
	t.unsent = "not without a bundle"
	if err != nil {
		return fail(status.OneLine(err), "give the directory of a bundle with --bundle")
	}
	id := m.ID()
	welcome, _ := t.client.Welcome()
	if offer.Lacks(welcome.Bundles, id) {
		return fail(fmt.Sprintf("the cloud does not serve %s (%x); it has %s", m.Name, id[:6], offer.Names(welcome.Bundles)), offer.LacksRemedy(welcome.Bundles))
	}
	t.model = m
	return pass("the cloud serves %s (%x)", m.Name, id[:6])
}

// uplinkRows is how many hidden states go up to measure goodput, which fit the
// context of any cloud, and uplinkTime how long that may take.
const (
	uplinkRows = 64
	uplinkTime = 10 * time.Second
)

// goodput opens a session, sends hidden states that mean nothing, and tells by the
// cloud's receipts how fast they arrive.
func (t *LinkTest) goodput(ctx context.Context) Findings {
	if t.model == nil {
		return skip(t.unsent)
	}
	ctx, cancel := context.WithTimeout(ctx, uplinkTime)
	defer cancel()
	rows := uplinkRows
	s, err := t.client.OpenSession(ctx, cloudlink.SessionOptions{Bundle: wire.Hash(t.model.ID()), Width: t.model.Embedding, Context: rows})
	if err == nil {
		defer s.Close()
		err = s.Ready(ctx)
	}
	if err != nil {
		return fail(status.OneLine(err), "if the cloud is busy, try again; else look at its log")
	}
	hidden := make([]float32, t.model.Embedding)
	began := time.Now()
	for pos := range rows {
		for i := range hidden {
			hidden[i] = rand.Float32()
		}
		if err := s.Append(pos, hidden); err != nil {
			return fail(status.OneLine(err), "run this again")
		}
	}
	if err := s.AwaitReceipt(ctx, rows); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%d of %d hidden states arrived within %s", s.Stats().Confirmed, rows, uplinkTime)
		}
		return fail(status.OneLine(err), "the link is too slow or too lossy to ask the cloud over it")
	}
	took := time.Since(began)
	bytes := s.Stats().Bytes
	return pass("%s/s up: %s in %d ms", status.Bytes(float64(bytes)/took.Seconds()), status.Bytes(int64(bytes)), took.Milliseconds())
}

// lossy is the share of lost packets from which on a link is no good.
const lossy = 0.1

// roundTrip tells how long it takes, and how much is lost.
func (t *LinkTest) roundTrip(context.Context) Findings {
	s := t.client.Stats()
	loss := float64(s.PacketsLost) / float64(max(s.PacketsSent, 1))
	text := fmt.Sprintf("round trip %.1f ms (%.1f at best), %.1f %% of %d packets lost",
		float64(s.SmoothedRTT.Microseconds())/1000, float64(s.MinRTT.Microseconds())/1000, 100*loss, s.PacketsSent)
	if loss > lossy {
		return fail(text, "move closer to the access point, or use another network")
	}
	return pass("%s", text)
}
