package decode

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// flapping is a cloud whose link is up for a time, down for a time and so on, as
// a monitor sees it. Asks fail at once while it is down.
func flapping(t *testing.T, up, down time.Duration) *foreseen {
	m := monitor.New(monitor.Config{})
	start, was := time.Now(), false
	isUp := func() bool { return time.Since(start)%(up+down) < up }
	look := func() {
		switch now := isUp(); {
		case now:
			if !was {
				m.Up()
			}
			m.Observe(monitor.Sample{SmoothedRTT: 20 * time.Millisecond})
			was = true
		case was:
			m.Down("no answer")
			was = false
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	look()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			look()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return &foreseen{
		fakeCloud: &fakeCloud{answer: func(int) (time.Duration, int32, error) {
			if !isUp() {
				return 0, 0, lostForNow
			}
			return 20 * time.Millisecond, cloudSays, nil
		}},
		state: m.State,
	}
}

// changes fails the test unless the changes alternate, at most one in 5 s, and the
// first token decided after each carries it.
func (b *fakeBoard) changes(t *testing.T, prompt int, a Result) {
	t.Helper()
	seen, to := 0, Collaborative
	var last time.Time
	for i, tok := range a.Tokens {
		if tok.Change == nil {
			continue
		}
		if *tok.Change != a.Changes[seen] || tok.Change.At != prompt+i || tok.Change.To == to || tok.Change.Reason == "" {
			t.Errorf("token %d: %+v, recorded %+v", i, tok.Change, a.Changes[seen])
		}
		if gap := b.said[i].Sub(last); gap < 5*time.Second {
			t.Errorf("the mode changed again after %s", gap)
		}
		seen, last, to = seen+1, b.said[i], tok.Change.To
	}
	if seen != len(a.Changes) {
		t.Errorf("%d tokens carry %+v", seen, a.Changes)
	}
}

// A link that flaps once a second changes the mode at most once in 5 s: once it
// was seen to, the board leads and goes on leading.
func TestFlappingLink(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(flapping(t, 500*time.Millisecond, 500*time.Millisecond))
		a, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 1000, MaxTokenLatency: bound})
		if err != nil || len(a.Changes) != 1 || a.Changes[0].To != Standalone || a.Changes[0].Reason != "link down: no answer" {
			t.Fatalf("changes %+v, %v", a.Changes, err)
		}
		b.changes(t, 4, a)
		b.inTime(t, bound)
		if last := a.Tokens[999]; last.Why != infer.WhyDown || b.said[999].Sub(b.said[0]) < 30*time.Second {
			t.Errorf("after %s: %+v", b.said[999].Sub(b.said[0]), last)
		}
	})
}

// A long cut changes the mode and back; a short one does not, and the cloud is
// asked again as soon as it can answer.
func TestCuts(t *testing.T) {
	for _, c := range []struct {
		down    time.Duration
		changes int
		tokens  int // enough for one cut and no more
	}{{3 * time.Second, 0, 700}, {20 * time.Second, 2, 1000}} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			const up = 20 * time.Second
			start := time.Now()
			b := board(flapping(t, up, c.down))
			a, err := b.generate(t, t.Context(), 4, Options{MaxTokens: c.tokens})
			end := b.said[c.tokens-1].Sub(start)
			if err != nil || len(a.Changes) != c.changes || a.Resumed != 1 || end < up+c.down || end > 2*up+c.down {
				t.Fatalf("%s: changes %+v, resumed %d in %s, %v", c.down, a.Changes, a.Resumed, end, err)
			}
			b.changes(t, 4, a)
			for i, tok := range a.Tokens {
				if since := b.said[i].Sub(start.Add(up + c.down)); since > 150*time.Millisecond {
					if tok.Source != infer.FromCloud {
						t.Errorf("%s after a cut of %s: %+v", since, c.down, tok)
					}
					break
				}
			}
		})
	}
}

// A poor link is left to itself where it cannot keep the bound, and only then.
func TestPoorLink(t *testing.T) {
	for _, c := range []struct {
		cost  time.Duration
		bound time.Duration
		poor  bool
	}{{400 * time.Millisecond, bound, true}, {150 * time.Millisecond, bound, false}, {400 * time.Millisecond, 0, false}} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			start := time.Now()
			better := func() bool { return time.Since(start) > 10*time.Second }
			b := board(&foreseen{
				fakeCloud: &fakeCloud{answer: func(int) (time.Duration, int32, error) { return 50 * time.Millisecond, cloudSays, nil }},
				state: func() (monitor.State, string) {
					if better() {
						return monitor.Fair, "rtt 100 ms, loss 0 %"
					}
					return monitor.Poor, "rtt 380 ms, loss 0 %"
				},
				predict: func(int) (time.Duration, bool) {
					if better() {
						return 80 * time.Millisecond, true
					}
					return c.cost, true
				},
			})
			a, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 300, MaxTokenLatency: c.bound})
			if err != nil {
				t.Fatal(err)
			}
			n := count(a)
			if (n[infer.WhyPoor] > 0) != c.poor || len(a.Changes) != 2*n[infer.WhyPoor]/max(n[infer.WhyPoor], 1) || n[infer.WhyPoor]+n[infer.Asked]+n[infer.WhyTooSlow] != 300 {
				t.Errorf("%s of %s: %v, %+v", c.cost, c.bound, n, a.Changes)
			}
			if c.poor && a.Changes[0].Reason != "link poor: rtt 380 ms, loss 0 %, an ask takes 400ms of at most 200ms" {
				t.Errorf("%+v", a.Changes)
			}
			b.changes(t, 4, a)
		})
	}
}

// However it is asked, a switch holds a mode for its dwell.
func TestSwitch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		s := Switch{Dwell: 5 * time.Second, mode: Collaborative}
		var last time.Time
		for _, ms := range rapid.SliceOf(rapid.IntRange(0, 3000)).Draw(t, "ms") {
			now = now.Add(time.Duration(ms) * time.Millisecond)
			was, want := s.Mode(), rapid.SampledFrom([]infer.Mode{Collaborative, Standalone}).Draw(t, "mode")
			may := want != was && (last.IsZero() || now.Sub(last) >= s.Dwell)
			if changed := s.Request(now, want); changed != may || changed != (s.Mode() != was) {
				t.Fatalf("to %s %s after the last change: %v", want, now.Sub(last), changed)
			}
			if may {
				last = now
			}
		}
	})
}
