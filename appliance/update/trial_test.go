package update

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/bundle/disk"
)

// probe is ready from some time on, but for a break, and answers or not.
type probe struct {
	began      time.Time
	from       time.Duration
	breakAt    time.Duration
	noAnswer   error
	answeredAt time.Duration
	asked      func() // while it answers
}

func (p *probe) Ready(context.Context) error {
	switch at := time.Since(p.began); {
	case at < p.from:
		return errors.New("the model is loading")
	case p.breakAt > 0 && at >= p.breakAt && at < p.breakAt+look:
		return errors.New("it has started anew")
	}
	return nil
}

func (p *probe) Answer(context.Context) error {
	p.answeredAt = time.Since(p.began)
	if p.asked != nil {
		p.asked()
	}
	return p.noAnswer
}

func TestTrial(t *testing.T) {
	for name, c := range map[string]struct {
		probe
		at     time.Duration // of the prompt, 0 for none
		reason string
	}{
		"at once":     {at: Steady},
		"slow":        {probe: probe{from: time.Minute}, at: time.Minute + Steady},
		"a break":     {probe: probe{breakAt: time.Minute}, at: time.Minute + look + Steady},
		"never ready": {probe: probe{from: time.Hour}, reason: "the model is loading"},
		"too late":    {probe: probe{from: patience - time.Minute}, reason: "without a break"},
		"no answer":   {probe: probe{noAnswer: errors.New("out of memory")}, at: Steady, reason: "out of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := c.probe
				p.began = time.Now()
				err := prove(t.Context(), &p, Steady)
				if p.answeredAt != c.at {
					t.Errorf("it was asked after %v, not %v", p.answeredAt, c.at)
				}
				if (err != nil) != (c.reason != "") || err != nil && !strings.Contains(err.Error(), c.reason) {
					t.Errorf("the reason is %v", err)
				}
			})
		})
	}
}

// A trial ends in the record as it went, and one that is interrupted decides nothing.
func TestWatch(t *testing.T) {
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	if err := apply(t, u, newVersion(t, 2, "skerry")); err != nil {
		t.Fatal(err)
	}
	restart(t, d, u)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if kept, err := u.Watch(ended, &probe{began: time.Now(), from: time.Hour}, Steady); kept || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", kept, err)
	}
	if s, _, err := u.Status(); err != nil || s.Phase != OnTrial || s.Failing != "" {
		t.Errorf("%+v, %v", s, err)
	}
	synctest.Test(t, func(t *testing.T) {
		kept, err := u.Watch(t.Context(), &probe{began: time.Now(), from: time.Hour}, Steady)
		if kept || err != nil {
			t.Errorf("%v, %v", kept, err)
		}
	})
	if s, r := restart(t, d, u); r != (Running{A, false}) || s.Last.Kept || !strings.Contains(s.Last.Reason, "the model is loading") {
		t.Errorf("%+v, %s", r, s.Last)
	}
}

// A version that is taken back while the last prompt is answered does not stay, however the
// answer ends, and the record says who has taken it back.
func TestTakenBackAtTheLastPrompt(t *testing.T) {
	for name, answer := range map[string]error{"answered": nil, "not answered": errors.New("out of memory")} {
		t.Run(name, func(t *testing.T) {
			m := newMatrix(t)
			m.trial()
			synctest.Test(t, func(t *testing.T) {
				p := &probe{began: time.Now(), noAnswer: answer, asked: func() {
					if _, again, err := m.u.Rollback(t.Context()); err != nil || !again {
						t.Errorf("%v, %v", again, err)
					}
				}}
				if kept, err := m.u.Watch(t.Context(), p, Steady); kept || !errors.Is(err, ErrTakenBack) {
					t.Errorf("%v, %v", kept, err)
				}
			})
			if s, r := restart(t, m.d, m.u); r != (Running{A, false}) || !s.Last.ByHand() {
				t.Errorf("%+v, %s", r, s.Last)
			}
		})
	}
}

// What a start could not note, as the record was being changed, the watch of the trial
// notes: the trial is watched, and one that is over ends in the record.
func TestTrialThatTheStartDidNotNote(t *testing.T) {
	m := newMatrix(t)
	busy := func() {
		t.Helper()
		release, err := disk.Lock(m.u.path)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if _, err := m.d.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.u.Resume(); !errors.Is(err, disk.ErrBusy) {
			t.Fatal(err)
		}
		if s, err := m.u.Trial(); s != nil || !errors.Is(err, disk.ErrBusy) {
			t.Errorf("while it is being changed: %+v, %v", s, err)
		}
	}
	if s, err := m.u.Trial(); s != nil || err != nil {
		t.Errorf("without an update: %+v, %v", s, err)
	}
	if err := m.apply(t.Context(), m.source(m.private)); err != nil {
		t.Fatal(err)
	}
	if s, err := m.u.Trial(); s != nil || err != nil {
		t.Errorf("before the restart: %+v, %v", s, err)
	}
	if s, _, err := m.u.Status(); err != nil || s.Phase != Armed {
		t.Errorf("the update does not wait any more: %+v, %v", s, err)
	}
	busy()
	if s, err := m.u.Trial(); err != nil || s == nil || s.Target != B {
		t.Errorf("the new version runs: %+v, %v", s, err)
	}
	busy()
	if s, err := m.u.Trial(); s != nil || err != nil {
		t.Errorf("the old version runs again: %+v, %v", s, err)
	}
	if s, _, err := m.u.Status(); err != nil || s.Phase != Idle || s.Last == nil || s.Last.Kept {
		t.Errorf("%+v, %v", s, err)
	}
}
