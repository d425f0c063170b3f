package monitor

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shelf is a store that fails when told to.
type shelf struct {
	minutes []Minute
	fail    atomic.Bool
}

func (s *shelf) AppendLink(m []Minute) error {
	if s.fail.Load() {
		return errors.New("disk full")
	}
	s.minutes = append(s.minutes, m...)
	return nil
}

// running runs a monitor in virtual time until f returns.
func running(t *testing.T, f Feed, do func(m *Monitor)) {
	t.Helper()
	m := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx, f)
	}()
	do(m)
	cancel()
	<-done
}

// A day without traffic: probes that cost well below a megabyte, an hour of
// history here and every minute in the store, also those it refused at first.
func TestIdleDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probes, refused := 0, 0
		s := &shelf{}
		f := Feed{
			Sample: func() (Sample, bool) { return Sample{}, true },
			Probe:  func(context.Context) (time.Duration, error) { probes++; return 40 * ms, nil },
			Store:  s,
			Failed: func(error) { refused++ },
		}
		running(t, f, func(m *Monitor) {
			m.Up()
			time.Sleep(12 * time.Hour)
			s.fail.Store(true)
			time.Sleep(5 * time.Minute)
			s.fail.Store(false)
			time.Sleep(12*time.Hour - 5*time.Minute)
			if points, _ := m.History(time.Time{}); len(points) != 720 || time.Since(points[0].At) < 59*time.Minute || points[719].RTT != 40*ms {
				t.Errorf("%d points", len(points))
			}
			if state, reason := m.State(); state != Good || reason != "rtt 40 ms, loss 0 %" {
				t.Errorf("%s, %q", state, reason)
			}
		})
		if probes < 280 || probes > 310 {
			t.Errorf("%d probes", probes)
		}
		if len(s.minutes) < 1439 || refused == 0 {
			t.Fatalf("%d minutes, %d times refused", len(s.minutes), refused)
		}
		for i, m := range s.minutes[1:] {
			if m.Start.Sub(s.minutes[i].Start) != time.Minute || m.Worst != Good || m.RTT != 40*ms {
				t.Fatalf("minute %d: %+v after %+v", i+1, m, s.minutes[i])
			}
		}
		if s.minutes[0].Changes != 2 || s.minutes[0].Reason == "" {
			t.Errorf("the first minute: %+v", s.minutes[0])
		}
	})
}

// A link that swallows probes is down after two, and up again with an answer
// that holds.
func TestProbesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var swallowed atomic.Bool
		f := Feed{
			Sample: func() (Sample, bool) { return Sample{}, true },
			Probe: func(ctx context.Context) (time.Duration, error) {
				if swallowed.Load() {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return 400 * ms, nil
			},
		}
		running(t, f, func(m *Monitor) {
			m.Up()
			time.Sleep(15 * time.Second)
			if state, _ := m.State(); state != Poor {
				t.Errorf("%s at a round trip of 400 ms", state)
			}
			swallowed.Store(true)
			time.Sleep(30 * time.Second)
			if state, reason := m.State(); state != Down || reason != "no answer to 2 probes" {
				t.Errorf("%s, %q", state, reason)
			}
			swallowed.Store(false)
			time.Sleep(10 * time.Second)
			if state, _ := m.State(); state != Poor {
				t.Errorf("%s, 10 s after probes were answered again", state)
			}
		})
	})
}

// Traffic makes probes needless.
func TestNoProbesBesideTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var received uint64
		f := Feed{
			Sample: func() (Sample, bool) { received++; return Sample{SmoothedRTT: 30 * ms, Received: received}, true },
			Probe:  func(context.Context) (time.Duration, error) { t.Error("probed"); return 0, nil },
		}
		running(t, f, func(m *Monitor) { m.Up(); time.Sleep(time.Minute) })
	})
}
