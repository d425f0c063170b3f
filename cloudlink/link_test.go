package cloudlink_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// TestBlackholeNoticed: a token that waits learns that the link is dead well
// within a second, whatever the round trip.
func TestBlackholeNoticed(t *testing.T) {
	for rtt, most := range map[time.Duration]time.Duration{
		2 * time.Millisecond: 750 * time.Millisecond, 100 * time.Millisecond: 750 * time.Millisecond,
		150 * time.Millisecond: 800 * time.Millisecond, 400 * time.Millisecond: 2500 * time.Millisecond,
	} {
		t.Run(rtt.String(), func(t *testing.T) {
			inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
				l, s := w.link(t)
				defer l.Close()
				for range 5 {
					w.answer(t, s, 2)
				}
				w.router.cut.Store(true)
				before := w.router.packets.Load()
				start := time.Now()
				_, err := s.Ask(t.Context(), 100, 1)
				took := time.Since(start)
				if !errors.Is(err, cloudlink.ErrLost) || took > most {
					t.Errorf("after %v: %v", took, err)
				}
				t.Logf("noticed after %v, with %d packets sent into the hole", took, w.router.packets.Load()-before)
				if _, err := s.Ask(t.Context(), 100, 1); !errors.Is(err, cloudlink.ErrLost) {
					t.Errorf("asked again: %v", err)
				}
				synctest.Wait()
				if st := l.Status(); st.Connected || st.LastError == "" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestClientNoticesBlackhole: a bare client, without a link's probes, ends an ask
// after 4/3 of its idle time.
func TestClientNoticesBlackhole(t *testing.T) {
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		c, err := cloudlink.Dial(t.Context(), w.conf.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 400})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.router.cut.Store(true)
		start := time.Now()
		_, err = s.Ask(t.Context(), 100, 1)
		if took := time.Since(start); !errors.Is(err, cloudlink.ErrLost) || took > transport.DefaultIdle*4/3+rtt {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestSlowCloudIsNotLost: an ask that the cloud takes long over is not a dead
// link, and costs a few probes only.
func TestSlowCloudIsNotLost(t *testing.T) {
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		before := w.router.packets.Load()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		// The row never comes: the cloud has nothing to say for long.
		if _, err := s.Ask(ctx, 100, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		packets := w.router.packets.Load() - before
		t.Logf("%d packets both ways in 30 s of waiting", packets)
		if packets > 30*4*4 {
			t.Errorf("%d packets in 30 s", packets)
		}
		if len(w.seen(cloudlink.EventLost)) > 0 || len(w.seen(cloudlink.EventAnswered)) < 10 {
			t.Errorf("%d losses, %d probes answered", len(w.seen(cloudlink.EventLost)), len(w.seen(cloudlink.EventAnswered)))
		}
	})
}

// TestAnswerAfterCut: once a cut link is back, the first answer takes one round
// trip and 300 ms at most: the request that waits finds the link itself.
func TestAnswerAfterCut(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, cut := range []time.Duration{time.Second, 2900 * time.Millisecond, 3 * time.Second, 3050 * time.Millisecond, 20 * time.Second} {
		t.Run(cut.String(), func(t *testing.T) {
			inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
				l, s := w.link(t)
				defer l.Close()
				w.router.cut.Store(true)
				back := time.Now().Add(cut)
				time.AfterFunc(cut, func() { w.router.cut.Store(false) })
				if err := s.Append(3, make([]float32, 8)); err != nil {
					t.Fatal(err)
				}
				for time.Now().Before(back) {
					w.answer(t, s, 3)
				}
				took := time.Since(back)
				t.Logf("answered %v after the link was back", took)
				if took > rtt+300*time.Millisecond {
					t.Errorf("answered %v after the link was back", took)
				}
				time.Sleep(rtt)
				if st := l.Status(); !st.Connected || st.Reconnects != 1 || st.Transport != cloudlink.TransportQUIC {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestIdleDay: a day without a token costs at most 1 MB, headers and statuses
// included, and the next token takes one round trip.
func TestIdleDay(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		l.SetStatus(fullStatus)
		before := l.Status()
		bytes, packets := w.router.bytes.Load(), w.router.packets.Load()
		time.Sleep(24 * time.Hour)
		after := l.Status()
		up, down := after.BytesUp-before.BytesUp, after.BytesDown-before.BytesDown
		t.Logf("an idle day: %d bytes up, %d down by the meter; on the wire %d packets of %d bytes",
			up, down, w.router.packets.Load()-packets, w.router.bytes.Load()-bytes)
		if up+down > 1e6 || up == 0 || down == 0 {
			t.Errorf("%d bytes up and %d down", up, down)
		}
		if !after.Connected || after.Reconnects != 0 {
			t.Errorf("%+v", after)
		}
		start := time.Now()
		w.answer(t, s, 2)
		if took := time.Since(start); took > rtt+slack {
			t.Errorf("the next answer took %v", took)
		}
	})
}

// TestDialsSpread: a cloud that is away is dialled ever more rarely, and with a
// token waiting at once.
func TestDialsSpread(t *testing.T) {
	inLinkWorld(t, 100*time.Millisecond, func(t *testing.T, w *linkWorld) {
		w.router.cut.Store(true)
		l := cloudlink.NewLink(w.conf)
		defer l.Close()
		time.Sleep(time.Hour)
		idle := w.router.packets.Load()
		t.Logf("%d packets in an hour that nobody wants the cloud", idle)
		if idle == 0 || idle > 600 {
			t.Errorf("%d packets in an hour that nobody wants the cloud", idle)
		}
		s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 100})
		if err != nil {
			t.Fatal(err)
		}
		var last time.Time
		seen := int64(-1)
		for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
			s.Ask(t.Context(), 0, 1)
			if n := w.router.packets.Load(); n != seen {
				seen, last = n, time.Now()
			}
			if gap := time.Since(last); gap > 500*time.Millisecond {
				t.Fatalf("nothing was tried for %v while a token waits", gap)
			}
		}
		w.router.cut.Store(false)
		if err := s.Append(0, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		w.answer(t, s, 0)
	})
}

func fullStatus() (s wire.Status) {
	s.Version, s.Mode, s.Health = "1.2.3-45-gabcdef0", "collaborative", "throttled: 84 °C"
	s.Uptime = 86400
	s.Tokens = map[string]uint64{"exit1": 123456, "exit2": 23456, "cloud": 345678}
	return s
}
