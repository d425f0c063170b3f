package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

func wantBusy(t *testing.T, err error) time.Duration {
	t.Helper()
	var remote *cloudlink.RemoteError
	if !errors.Is(err, cloudlink.ErrBusy) || !errors.As(err, &remote) || remote.RetryAfter <= 0 {
		t.Fatalf("got %v, want busy with a time to try again", err)
	}
	return remote.RetryAfter
}

// TestRateQuota: a device over its rate is held back to it, whatever it asks
// for, and another is not.
func TestRateQuota(t *testing.T) {
	const perMinute = 600
	quota := func(conf *partition.Config) { conf.Quota.Rows = perMinute }
	got := throughput(t, []int{4, 1}, []int{50, 1}, quota)
	// The burst is gone after the warm-up.
	want := float64(perMinute) / 60 * measured.Seconds()
	if n := float64(got[0].Rows); n < 0.9*want || n > 1.1*want {
		t.Errorf("%.0f rows in %v, the quota is %.0f", n, measured, want)
	}
	if got[0].Throttled == 0 {
		t.Error("nothing throttled")
	}
	if n := float64(got[1].Rows); n < 0.8*want {
		t.Errorf("the other device got %.0f rows of %.0f", n, want)
	}
}

// TestSessionQuota: one device has no more sessions than its quota, another has
// its own, and a closed one makes room.
func TestSessionQuota(t *testing.T) {
	inFleet(t, 2, costly(10), func(conf *partition.Config) { conf.Quota.Sessions = 3 }, func(t *testing.T, fl *fleet) {
		one, two := fl.dial(0), fl.dial(1)
		defer one.Close()
		defer two.Close()
		var open3 []*cloudlink.Session
		for range 3 {
			s := open(t, one)
			must(t, ready(t, s))
			open3 = append(open3, s)
		}
		wantBusy(t, ready(t, open(t, one)))
		must(t, ready(t, open(t, two)))
		must(t, open3[1].Close())
		time.Sleep(time.Second)
		must(t, ready(t, open(t, one)))
		time.Sleep(11 * time.Second) // an uplink of the refused one may wait for it
		for i, want := range []partition.DeviceStats{
			{Device: "board-0", Connections: 1, Sessions: 3, Refused: 1}, {Device: "board-1", Connections: 1, Sessions: 1},
		} {
			if got := fl.server.Devices()[i]; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
}

// TestConnectionQuota: more connections than the quota are closed.
func TestConnectionQuota(t *testing.T) {
	inFleet(t, 1, costly(4), func(conf *partition.Config) { conf.Quota.Connections = 1 }, func(t *testing.T, fl *fleet) {
		first := fl.dial(0)
		defer first.Close()
		s := open(t, first)
		must(t, ready(t, s))
		if c, err := fl.try(1); err == nil { // its other address
			<-c.Done()
			c.Close()
		}
		must(t, s.Append(0, make([]float32, width)))
		ask(t, s, 0, 1) // the first goes on
		if st := fl.server.Devices()[0]; st.Connections != 1 || st.Refused != 1 {
			t.Errorf("%+v", st)
		}
		must(t, first.Close())
		time.Sleep(time.Second)
		again := fl.dial(1)
		defer again.Close()
		must(t, ready(t, open(t, again)))
	})
}

// TestBusyWhenTooLate: an ask behind more of others' work than it may wait is
// refused at once, and one that fair queueing lets through is not.
func TestBusyWhenTooLate(t *testing.T) {
	inFleet(t, 8, costly(16), func(conf *partition.Config) { conf.MaxWait = 500 * time.Millisecond }, func(t *testing.T, fl *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		for i := range 6 {
			c := fl.dial(i)
			defer c.Close()
			s := open(t, c)
			g.Go(func() error { load(ctx, s, 900); return nil })
		}
		time.Sleep(10 * time.Second)
		late := fl.dial(6)
		defer late.Close()
		long, short := open(t, late), open(t, late)
		rng := rand.New(rand.NewPCG(8, 1))
		must(t, long.Append(0, rows(rng, 900)))
		hidden := rows(rng, 2)
		must(t, short.Append(0, hidden))

		start := time.Now()
		_, err := long.Ask(t.Context(), 899, 1)
		retry := wantBusy(t, err)
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("the refusal took %v", d)
		}
		wantRow(t, ask(t, short, 0, 0), hidden[:width])
		short.Stats() // of the receipts that came meanwhile

		soon, done := context.WithTimeout(t.Context(), 20*time.Millisecond) // less than a pass
		defer done()
		_, err = short.Ask(soon, 1, 1)
		if !errors.Is(err, cloudlink.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if q := fl.server.Stats().Wait; q <= 0 || q > 500*time.Millisecond {
			t.Errorf("a newcomer is told to wait %v", q)
		}
		cancel()
		must(t, g.Wait())
		time.Sleep(retry)
		ask(t, long, 899, 1)
		if st := fl.server.Stats(); st.Busy == 0 || st.PerRow <= 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestReceiptsTellTheQueue: a board learns from its receipts how long others'
// work would keep its next ask.
func TestReceiptsTellTheQueue(t *testing.T) {
	inFleet(t, 5, costly(8), nil, func(t *testing.T, fl *fleet) {
		idle := fl.dial(4)
		defer idle.Close()
		s := open(t, idle)
		hear := func(pos int) time.Duration {
			must(t, s.Append(pos, make([]float32, width)))
			time.Sleep(100 * time.Millisecond)
			return s.Stats().CloudQueue
		}
		if q := hear(0); q != 0 {
			t.Errorf("an idle stage is said to be busy for %v", q)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		for i := range 4 {
			c := fl.dial(i)
			defer c.Close()
			b := open(t, c)
			g.Go(func() error { load(ctx, b, 500); return nil })
		}
		time.Sleep(5 * time.Second)
		if q := hear(1); q <= 0 || q > 2*(2*firstRow) {
			t.Errorf("the queue ahead of a row is said to be %v", q)
		}
		cancel()
		must(t, g.Wait())
	})
}
