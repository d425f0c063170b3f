package cloudlink_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// slow is a cloud that takes so long for an answer, for ever where that is negative.
type slow struct {
	scripted
	takes atomic.Int64
}

func newSlow(d time.Duration) *slow {
	c := &slow{scripted: scripted{vocab: scriptedVocab}}
	c.takes.Store(int64(d))
	c.answer = func(a *wire.Ask, m *wire.Answer) []wire.Message {
		d := time.Duration(c.takes.Load())
		if d < 0 {
			return nil
		}
		time.Sleep(d)
		m.Compute = uint64(d.Microseconds())
		return one(m)
	}
	return c
}

// TestSilentCloud: a cloud that keeps the connection alive and never answers is a
// lost cloud after a while, is left alone for a time that grows, and is used again
// once it answers.
func TestSilentCloud(t *testing.T) {
	cloud := newSlow(-1)
	inScriptedWorld(t, &cloud.scripted, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		for l.Client() == nil {
			time.Sleep(time.Millisecond)
		}
		var last time.Duration
		for n := 1; n <= 3; n++ {
			start := time.Now()
			_, err := s.Ask(t.Context(), 2, 2)
			waited := time.Since(start)
			if !errors.Is(err, cloudlink.ErrUnanswered) || !errors.Is(err, cloudlink.ErrLost) || waited < 4*time.Second || waited > 21*time.Second || n == 1 && waited > 6*time.Second {
				t.Fatalf("wait %d: %v after %v", n, err, waited)
			}
			time.Sleep(time.Millisecond)
			if _, err := s.Ask(t.Context(), 2, 2); !errors.Is(err, cloudlink.ErrLost) {
				t.Fatalf("asked again at once: %v", err)
			}
			st := l.Status()
			if st.Connected || st.Refused || st.Unanswered != uint64(n) || st.UnansweredAt.IsZero() {
				t.Errorf("%+v", st)
			}
			pause := time.Until(st.NextDial)
			if pause < 4*time.Second || pause <= last {
				t.Errorf("left alone for %v, then for %v", last, pause)
			}
			last = pause
			time.Sleep(pause + time.Second)
		}
		cloud.takes.Store(0)
		w.answer(t, s, 2)
	})
}

// TestSilentSession: where the cloud answers others, only the session that it leaves
// without an answer is lost.
func TestSilentSession(t *testing.T) {
	var silent atomic.Pointer[wire.SessionID]
	cloud := &scripted{vocab: scriptedVocab, answer: func(a *wire.Ask, m *wire.Answer) []wire.Message {
		if id := silent.Load(); id != nil && a.Session == *id {
			return nil
		}
		return one(m)
	}}
	inScriptedWorld(t, cloud, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		other, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 400})
		if err == nil {
			err = other.Append(0, make([]float32, 8*3))
		}
		if err != nil {
			t.Fatal(err)
		}
		w.answer(t, other, 2)
		id := s.ID()
		silent.Store(&id)
		got := make(chan error, 1)
		go func() {
			_, err := s.Ask(t.Context(), 2, 2)
			got <- err
		}()
		for {
			select {
			case err := <-got:
				if !errors.Is(err, cloudlink.ErrUnanswered) {
					t.Error(err)
				}
				if _, err := other.Ask(t.Context(), 2, 2); err != nil || cloud.conns.Load() != 1 {
					t.Errorf("the other session: %v, %d connections", err, cloud.conns.Load())
				}
				return
			case <-time.After(time.Second):
				if _, err := other.Ask(t.Context(), 2, 2); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestSlowCloudIsWaitedFor: what an answer took before is allowed for, and a cloud
// that is slow from the start is answered by in the end.
func TestSlowCloudIsWaitedFor(t *testing.T) {
	cloud := newSlow(4 * time.Second)
	inScriptedWorld(t, &cloud.scripted, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		for l.Client() == nil {
			time.Sleep(time.Millisecond)
		}
		for _, d := range []time.Duration{4, 10, 30} {
			cloud.takes.Store(int64(d * time.Second))
			if _, err := s.Ask(t.Context(), 2, 2); err != nil {
				t.Fatalf("an answer that took %d s: %v", d, err)
			}
		}
	})
	cloud = newSlow(50 * time.Second)
	inScriptedWorld(t, &cloud.scripted, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		start := time.Now()
		w.answer(t, s, 2)
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("answered after %v", took)
		}
		start = time.Now()
		if _, err := s.Ask(t.Context(), 2, 2); err != nil {
			t.Errorf("asked again: %v after %v", err, time.Since(start))
		}
	})
}

// TestSilentHello: a cloud that takes the connection and says nothing on it is given up
// after a while, however much it is wanted.
func TestSilentHello(t *testing.T) {
	cloud := newSlow(-1)
	cloud.hello = func() []wire.Message { return nil }
	inScriptedWorld(t, &cloud.scripted, func(t *testing.T, w *linkWorld) {
		l, s := w.open(t, false)
		defer l.Close()
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
			began := time.Now()
			if _, err := s.Ask(t.Context(), 2, 2); !errors.Is(err, cloudlink.ErrLost) || time.Since(began) > 2*time.Second {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
		}
		st := l.Status()
		if st.Connected || st.Unanswered < 3 || cloud.conns.Load() > 7 || !strings.Contains(st.LastError, "hello") {
			t.Errorf("%d connections, %+v", cloud.conns.Load(), st)
		}
	})
}
