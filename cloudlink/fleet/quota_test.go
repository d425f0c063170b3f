package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
)

// drawn takes from a quota, with the time that has passed since before counted.
func drawn(t *testing.T, f *fleet.Fleet, perMinute int, positions float64) float64 {
	t.Helper()
	got, again, err := f.Draw(t.Context(), "pi", perMinute, positions)
	if err != nil {
		t.Fatal(err)
	}
	if got == 0 && again <= 0 {
		t.Error("nothing is drawn, and it is not said when to ask again")
	}
	return got
}

// What one worker has drawn of a device's quota another cannot draw, what is given back it can,
// and what was computed beyond is owed whoever draws next.
func TestDraw(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	const perMinute = 60 // 15 at once, and one a second
	began := time.Now()
	within := func(what string, got, want float64) {
		t.Helper()
		if more := time.Since(began).Seconds() + 0.01; got < want || got > want+more {
			t.Errorf("%s: %.2f, want %.2f and at most %.2f more for the time", what, got, want, more)
		}
	}
	within("the first", drawn(t, a, perMinute, 10), 10)
	within("the other worker", 10+drawn(t, b, perMinute, 10), 15)
	within("then there is none", drawn(t, a, perMinute, 10), 0)
	give := func(f *fleet.Fleet, positions float64) {
		t.Helper()
		if err := f.Return(t.Context(), "pi", perMinute, positions); err != nil {
			t.Fatal(err)
		}
	}
	give(a, 10)
	within("what was given back", drawn(t, b, perMinute, 9), 9)
	give(b, -1000) // computed beyond
	if got := drawn(t, a, perMinute, 10); got != 0 {
		t.Errorf("%.2f: what another worker has computed beyond is not owed", got)
	}
	give(b, 5000)
	if got := drawn(t, a, perMinute, 5000); got > 15 {
		t.Errorf("%.2f at once", got)
	}
	if got, _, err := a.Draw(t.Context(), "other", perMinute, 10); err != nil || got != 10 {
		t.Errorf("%.2f, %v: a device pays for another", got, err)
	}
}

// Quotas take one lease of etcd's, however many devices
// draw at once.
func TestOneLeaseOfQuotas(t *testing.T) {
	t.Parallel()
	e := fleettest.New(t)
	f, _ := join(t, e, "a:1")
	client, err := etcd.New(etcd.Config{Endpoints: []string{e.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	leases := func() int {
		t.Helper()
		r, err := client.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Leases)
	}
	before := leases()
	var draws errgroup.Group
	for i := range 50 {
		draws.Go(func() error {
			_, _, err := f.Draw(t.Context(), fmt.Sprintf("pi-%d", i), 60, 1)
			return err
		})
	}
	if err := draws.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := leases() - before; n != 1 {
		t.Errorf("%d leases for the quotas of 50 devices", n)
	}
}

// A device that goes back and forth between two workers gets its quota once, not at each of them.
func TestQuotaOfAllWorkers(t *testing.T) {
	t.Parallel()
	const perMinute = 240 // 60 at once, and four a second
	w := &world{etcd: fleettest.New(t), dir: t.TempDir(), quota: partition.Quota{Rows: perMinute}, maxWait: 500 * time.Millisecond}
	began := time.Now()
	w.add(t)
	w.add(t)
	knows(t, 2, w.fleets()...)
	_, tls, err := cloudlink.DevTLS(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	rng := testseed.Rand(t)
	const each = 15
	for round := range 10 {
		o := w.workers[round%2]
		c, err := cloudlink.Dial(t.Context(), cloudlink.Config{Addr: o.addr(), TLS: tls, Epoch: uint64(round + 1)})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: bundle, Width: width, Context: 256})
		if err != nil {
			t.Fatal(err)
		}
		hidden := make([]float32, each*width)
		for i := range hidden {
			hidden[i] = rng.Float32()
		}
		if err := s.Append(0, hidden); err != nil {
			t.Fatal(err)
		}
		// What is over the quota would wait for seconds, and is not waited for.
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		a, err := s.Ask(ctx, each-1, 0)
		cancel()
		switch {
		case err == nil:
			if want := fakestage.Expect(hidden, width, vocab); !slices.Equal(a.Row, want) {
				t.Error("another answer")
			}
		case !errors.Is(err, cloudlink.ErrBusy) && !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		}
		c.Close()
	}
	for _, o := range w.workers {
		o.stop() // and gives back what is left
	}
	rows := 0
	for _, o := range w.workers {
		for _, d := range o.server.Devices() {
			rows += int(d.Rows)
		}
	}
	most := perMinute/4 + int(time.Since(began).Seconds()*perMinute/60) + each
	if rows > most {
		t.Errorf("%d positions computed in %v, at most %d are the device's", rows, time.Since(began), most)
	}
}
