package cloudlink_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/monitor"
)

// shelf keeps minutes.
type shelf struct {
	mu      sync.Mutex // guards minutes
	minutes []monitor.Minute
}

func (s *shelf) AppendLink(m []monitor.Minute) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.minutes = append(s.minutes, m...)
	return nil
}

// TestLinkJudgesItself: a link that nobody feeds knows its state, since when it is
// down and what an ask will cost, and keeps its minutes.
func TestLinkJudgesItself(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		kept := &shelf{}
		w.conf.Minutes = kept
		l, s := w.link(t)
		defer l.Close()
		if err := l.Await(t.Context()); err != nil || !l.DownSince().IsZero() {
			t.Fatalf("%v, down since %v", err, l.DownSince())
		}
		pos := 3
		for range 40 {
			if err := s.Append(pos, make([]float32, 8*8)); err != nil {
				t.Fatal(err)
			}
			pos += 8
			w.answer(t, s, pos-1)
		}
		if state, why := l.State(); state != monitor.Fair || why == "" {
			t.Errorf("%v, %q", state, why)
		}
		cost, spread, known := s.Predict(pos)
		if !known || cost < rtt || cost > 2*rtt || spread > rtt {
			t.Errorf("an ask costs %v + %v, known: %v", cost, spread, known)
		}
		if err := s.AwaitReceipt(t.Context(), pos); err != nil {
			t.Error(err)
		}
		if e := l.Estimates(); e.SmoothedRTT < rtt {
			t.Errorf("%+v", e)
		}
		w.router.cut.Store(true)
		cutAt := time.Now()
		if err := s.Append(pos, make([]float32, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ask(t.Context(), pos, 1); !errors.Is(err, cloudlink.ErrLost) {
			t.Errorf("over a cut: %v", err)
		}
		// The judge hears of it after the status says so.
		for {
			changed := l.Changed()
			if state, _ := l.State(); state == monitor.Down {
				break
			}
			<-changed
		}
		if since := l.DownSince().Sub(cutAt); since <= 0 || since > 3*time.Second {
			t.Errorf("down %v after the cut", since)
		}
		if _, _, known := s.Predict(pos); known {
			t.Error("the cost of an ask is known over a link that is down")
		}
		w.router.cut.Store(false)
		up := make(chan error)
		go func() { up <- l.Await(t.Context()) }()
		l.Retry()
		if err := <-up; err != nil || !l.DownSince().IsZero() {
			t.Errorf("%v, down since %v", err, l.DownSince())
		}
		time.Sleep(2 * time.Minute)
		l.Close()
		kept.mu.Lock()
		defer kept.mu.Unlock()
		if len(kept.minutes) < 2 || kept.minutes[0].Worst != monitor.Down {
			t.Errorf("%+v", kept.minutes)
		}
	})
}
