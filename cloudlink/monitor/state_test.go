package monitor

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// clock is a clock that tests turn.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// counters makes a sample: so many packets of which so many were lost.
func counters(rtt time.Duration, sent, lost uint64) Sample {
	return Sample{SmoothedRTT: rtt, RTTDeviation: rtt / 10, MinRTT: rtt / 2, PacketsSent: sent, PacketsLost: lost, Received: sent, Window: 40 << 10}
}

func TestStates(t *testing.T) {
	for name, c := range map[string]struct {
		rtt    time.Duration
		lost   uint64 // of 100000 packets
		from   State
		want   State
		reason string
	}{
		"near":                 {10 * ms, 0, Fair, Good, "rtt 10 ms, loss 0 %"},
		"at good's entry":      {80 * ms, 0, Fair, Good, "rtt 80 ms, loss 0 %"},
		"short of good":        {90 * ms, 0, Fair, Fair, "rtt 90 ms, loss 0 %"},
		"still good":           {90 * ms, 0, Good, Good, "rtt 90 ms, loss 0 %"},
		"no longer good":       {101 * ms, 0, Good, Fair, "rtt 101 ms, loss 0 %"},
		"lossy":                {10 * ms, 3000, Good, Fair, "rtt 10 ms, loss 3.0 %"},
		"far":                  {420 * ms, 6000, Good, Poor, "rtt 420 ms, loss 6.0 %"},
		"fair at its far end":  {310 * ms, 0, Fair, Fair, "rtt 310 ms, loss 0 %"},
		"poor stays poor":      {310 * ms, 0, Poor, Poor, "rtt 310 ms, loss 0 %"},
		"very lossy":           {10 * ms, 20000, Good, Poor, "rtt 10 ms, loss 20 %"},
		"from poor up to good": {10 * ms, 0, Poor, Good, "rtt 10 ms, loss 0 %"},
	} {
		l := link{up: true}
		l.observe(counters(c.rtt, 100000, c.lost))
		if got := l.verdict(c.from); got != (verdict{c.want, c.reason}) {
			t.Errorf("%s: %s, %q; want %s, %q", name, got.State, got.reason, c.want, c.reason)
		}
	}
}

func TestStateOverTime(t *testing.T) {
	c := newClock()
	m := New(Config{Now: c.now})
	expect := func(what string, want State, reason string) {
		t.Helper()
		if s, r := m.State(); s != want || r != reason {
			t.Errorf("%s: %s, %q; want %s, %q", what, s, r, want, reason)
		}
	}
	pass := func(d time.Duration, rtt time.Duration) {
		for end := c.Add(d); c.Before(end); c.Time = c.Add(100 * ms) {
			m.Observe(counters(rtt, 0, 0))
		}
	}
	expect("new", Down, "not connected yet")
	m.Up()
	expect("the first connection", Fair, "connected, nothing measured yet")
	pass(2900*ms, 20*ms)
	expect("not good for long enough", Fair, "connected, nothing measured yet")
	pass(300*ms, 20*ms)
	expect("good for 3 s", Good, "rtt 20 ms, loss 0 %")
	m.Down("no answer for 900 ms")
	expect("within the dwell", Good, "rtt 20 ms, loss 0 %")
	c.Time = c.Add(2 * time.Second)
	expect("after it", Down, "no answer for 900 ms")
	m.Observe(counters(20*ms, 0, 0))
	expect("counters of a dead connection", Down, "no answer for 900 ms")
	m.Up()
	pass(1900*ms, 20*ms)
	expect("within the dwell", Down, "no answer for 900 ms")
	pass(200*ms, 20*ms)
	expect("back after its only fall", Good, "rtt 20 ms, loss 0 %")
	m.Down("cut")
	pass(2*time.Second, 0)
	expect("the second fall", Down, "cut")
	m.Up()
	pass(2900*ms, 20*ms)
	expect("back, but not for long", Down, "cut")
	pass(300*ms, 20*ms)
	expect("back for 3 s", Good, "rtt 20 ms, loss 0 %")
	points, changes := m.History(time.Time{})
	if len(changes) != 6 || changes[2].To != Down || changes[2].From != Good || changes[2].Reason != "no answer for 900 ms" || len(points) < 2 {
		t.Errorf("%d points, changes %+v", len(points), changes)
	}
}

// A state is bettered to what held all the while, and not to the last look.
func TestRise(t *testing.T) {
	c := newClock()
	j := judged{verdict: verdict{Poor, ""}, since: c.Add(-time.Minute)}
	for i := range 31 {
		v := verdict{Good, "good"}
		if i%7 == 3 {
			v = verdict{Fair, "fair"}
		}
		if _, changed := j.settle(c.Time, v); changed != (i == 30) {
			t.Errorf("changed %v after %d ms", changed, 100*i)
		}
		c.Time = c.Add(100 * ms)
	}
	if j.State != Fair {
		t.Errorf("%s where it was fair at times", j.State)
	}
}

// A link that flaps once a second is down, and not by turns.
func TestFlapping(t *testing.T) {
	c := newClock()
	m := New(Config{Now: c.now})
	m.Up()
	for i := range 120 {
		if i%2 == 0 {
			m.Down("no answer")
		} else {
			m.Up()
		}
		for range 5 {
			m.Observe(counters(20*ms, 0, 0))
			m.State()
			c.Time = c.Add(100 * ms)
		}
	}
	_, changes := m.History(time.Time{})
	if n := len(changes); n > 4 || changes[n-1].To != Down || changes[n-1].At.Sub(changes[0].At) > 10*time.Second {
		t.Errorf("a minute of flapping: %+v", changes)
	}
}

// Whatever happens when, no state is left before its dwell, none is entered twice
// in a row, and none is bettered by figures that did not hold.
func TestDwell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		m := New(Config{Now: c.now})
		var sent, lost uint64
		var down time.Time // when the link was last said to be
		seen := 0
		t.Repeat(map[string]func(*rapid.T){
			"up":   func(*rapid.T) { m.Up(); sent, lost = 0, 0 },
			"down": func(*rapid.T) { m.Down("gone"); down = c.Time },
			"sample": func(t *rapid.T) {
				sent += 100
				lost += uint64(rapid.IntRange(0, 10).Draw(t, "lost"))
				m.Observe(counters(time.Duration(rapid.IntRange(1, 600).Draw(t, "rtt"))*ms, sent, lost))
			},
			"probe":      func(t *rapid.T) { m.Probed(time.Duration(rapid.IntRange(1, 600).Draw(t, "rtt")) * ms) },
			"lost probe": func(*rapid.T) { m.ProbeLost() },
			"": func(t *rapid.T) {
				c.Time = c.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "pass")) * ms)
				m.State()
				_, changes := m.History(time.Time{})
				for i, ch := range changes {
					if ch.From == ch.To || ch.Reason == "" || i > 0 && (ch.From != changes[i-1].To || ch.At.Sub(changes[i-1].At) < dwell) {
						t.Fatalf("changes %+v", changes)
					}
				}
				var falls []time.Time
				for _, ch := range changes {
					if ch.To < ch.From {
						falls = append(falls, ch.At)
					}
				}
				n, f := len(changes), len(falls)
				if n > seen && f > 1 && falls[f-1].Sub(falls[f-2]) < calm && changes[n-1].From == Down && changes[n-1].At.Sub(down) < rise {
					t.Fatalf("up again %s after it was down", changes[n-1].At.Sub(down))
				}
				seen = n
			},
		})
	})
}

func TestStateIsAWord(t *testing.T) {
	for s := Down; s <= Good; s++ {
		b, err := json.Marshal(s)
		var back State
		if err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("%s: %s, %v", s, b, err)
		}
	}
	if s := new(State); s.UnmarshalText([]byte("splendid")) == nil || State(9).String() != "state 9" {
		t.Error("a state that is none")
	}
}

func TestMonitorByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{})
		m.Up()
		time.Sleep(time.Second)
		if points, changes := m.History(time.Now().Add(-time.Minute)); len(points) != 1 || len(changes) != 1 {
			t.Errorf("%d points, %d changes", len(points), len(changes))
		}
	})
}
