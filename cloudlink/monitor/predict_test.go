package monitor

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

// connected is a monitor of a link with a round trip, of a cloud that takes 35 ms
// for a row and 5 ms for each further one.
func connected(c *clock, rtt time.Duration) *Monitor {
	m := New(Config{Now: c.now})
	m.Up()
	m.Observe(Sample{SmoothedRTT: rtt, Window: 40 << 10})
	for i := range 40 {
		rows := 1 + i%4
		m.Answered(AskCost{Rows: rows, Compute: 35*ms + time.Duration(rows-1)*5*ms})
	}
	return m
}

func near(got, want, tolerance time.Duration) bool { return (got - want).Abs() <= tolerance }

func TestPredict(t *testing.T) {
	c := newClock()
	m := connected(c, 50*ms)
	upload(m, 1e6)
	for name, x := range map[string]struct {
		ask  Ask
		want time.Duration
	}{
		"one row":          {Ask{Rows: 1}, 85 * ms},
		"a backlog there":  {Ask{Rows: 9}, 125 * ms},
		"a backlog here":   {Ask{Rows: 1, Bytes: 200e3}, 285 * ms},
		"half of it there": {Ask{Rows: 1, Bytes: 200e3, Since: 125 * ms}, 185 * ms},
		"long there":       {Ask{Rows: 1, Bytes: 2000, Since: 125 * ms}, 85 * ms},
		"and on the board": {Ask{Rows: 1, Board: 400 * ms}, 400 * ms},
	} {
		if cost, spread, known := m.Predict(x.ask); !known || !near(cost, x.want, ms) || spread > ms {
			t.Errorf("%s: %s and %s, %v; want %s", name, cost, spread, known, x.want)
		}
	}
	m.Receipt(Receipt{Queue: 80 * ms})
	if cost, _, _ := m.Predict(Ask{Rows: 1}); !near(cost, 95*ms, 2*ms) { // an eighth of it, until it says so again
		t.Errorf("with a queue: %s", cost)
	}
	for range 30 {
		m.Receipt(Receipt{Queue: 80 * ms})
	}
	if cost, _, _ := m.Predict(Ask{Rows: 1}); !near(cost, 165*ms, 3*ms) {
		t.Errorf("with a queue that lasts: %s", cost)
	}
	c.Time = c.Add(2 * time.Second)
	if cost, _, _ := m.Predict(Ask{Rows: 1}); !near(cost, 125*ms, 3*ms) {
		t.Errorf("2 s after its last report: %s", cost)
	}
}

// upload reports a minute's upload at a rate in bytes a second.
func upload(m *Monitor, rate float64) {
	at, bytes := time.Duration(0), uint64(0)
	for range 50 {
		at += 20 * ms
		bytes += uint64(rate / 50)
		m.Receipt(Receipt{Bytes: bytes, Time: at, Busy: true, Queue: -1})
	}
}

func TestPredictionIsUnknown(t *testing.T) {
	c := newClock()
	m := New(Config{Now: c.now})
	unknown := func(what string, m *Monitor) {
		t.Helper()
		if _, _, known := m.Predict(Ask{Rows: 1}); known {
			t.Errorf("%s: known", what)
		}
	}
	unknown("never up", m)
	m.Up()
	m.Observe(Sample{SmoothedRTT: 10 * ms})
	unknown("no answer yet", m)
	m = connected(c, 10*ms)
	m.Down("gone")
	unknown("down", m)
	m = connected(c, 10*ms)
	c.Time = c.Add(stale + time.Second)
	unknown("the last answer is long ago", m)
}

// Answers that take longer than predicted raise the prediction, and answers that
// scatter its spread: nine of ten stay within it.
func TestPredictionLearns(t *testing.T) {
	c := newClock()
	m := connected(c, 50*ms)
	within, n := 0, 0
	for i := range 400 {
		cost, spread, _ := m.Predict(Ask{Rows: 1})
		took := 105*ms + time.Duration(20*math.Sin(float64(i*i)))*ms
		if i >= 100 {
			n++
			if took <= cost+spread {
				within++
			}
		}
		m.Answered(AskCost{Rows: 1, Compute: 35 * ms, Took: took, Predicted: cost})
	}
	if cost, _, _ := m.Predict(Ask{Rows: 1}); !near(cost, 105*ms, 15*ms) {
		t.Errorf("predicted %s where answers take 105 ms", cost)
	}
	if share := float64(within) / float64(n); share < 0.85 {
		t.Errorf("%.0f %% of the answers came within the 90th percentile", 100*share)
	}
}

// One answer that took forever says little of the next.
func TestPredictionForgivesOne(t *testing.T) {
	m := connected(newClock(), 50*ms)
	before, _, _ := m.Predict(Ask{Rows: 1})
	m.Answered(AskCost{Rows: 1, Compute: 35 * ms, Took: 10 * time.Second, Predicted: before})
	if cost, _, _ := m.Predict(Ask{Rows: 1}); cost < before || cost > before*5/4 {
		t.Errorf("%s after %s", cost, before)
	}
}

// Packets that are lost have to be sent again.
func TestPredictCountsLoss(t *testing.T) {
	cost := func(lost uint64) time.Duration {
		m := connected(newClock(), 50*ms)
		m.Observe(Sample{SmoothedRTT: 50 * ms, RTTDeviation: 5 * ms, PacketsSent: 10000, PacketsLost: lost})
		c, _, _ := m.Predict(Ask{Rows: 1})
		return c
	}
	// Of ask and answer a tenth each, after 50 + 4 x 5 ms.
	if d := cost(1000) - cost(0); !near(d, 14*ms, ms) {
		t.Errorf("a loss of 10 %% costs %s", d)
	}
}

// More bytes, more rows, a longer round trip: never a smaller cost.
func TestPredictIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		draw := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		rtt := time.Duration(1+draw("rtt", 500)) * ms
		answers := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(rapid.IntRange(1, 300), 2, 2), func(v []int) AskCost {
			return AskCost{Rows: v[0], Compute: time.Duration(v[1]) * ms}
		}), 1, 20).Draw(t, "answers")
		rate, loss := draw("rate", 1e6), draw("loss", 100)
		predict := func(rtt time.Duration, a Ask) time.Duration {
			m := New(Config{Now: c.now})
			m.Up()
			m.Observe(Sample{SmoothedRTT: rtt, RTTDeviation: 5 * ms, PacketsSent: 100, PacketsLost: uint64(loss), Window: 40 << 10})
			upload(m, float64(rate))
			for _, a := range answers {
				m.Answered(a)
			}
			cost, spread, known := m.Predict(a)
			if !known || cost < rtt || spread < 0 {
				t.Fatalf("%s and %s, %v", cost, spread, known)
			}
			return cost
		}
		a := Ask{Bytes: draw("bytes", 1<<20), Rows: 1 + draw("rows", 500), Board: time.Duration(draw("board", 500)) * ms}
		cost := predict(rtt, a)
		more, rows, board := a, a, a
		more.Bytes += draw("more bytes", 1<<20)
		rows.Rows += draw("more rows", 500)
		board.Board += time.Duration(draw("more board", 500)) * ms
		for what, got := range map[string]time.Duration{
			"bytes": predict(rtt, more), "rows": predict(rtt, rows), "board": predict(rtt, board),
			"round trip": predict(rtt+time.Duration(draw("more rtt", 500))*ms, a),
		} {
			if got < cost {
				t.Fatalf("more %s: %s after %s", what, got, cost)
			}
		}
	})
}

func TestGoodput(t *testing.T) {
	rate := func(f func(g *goodput)) float64 {
		var g goodput
		f(&g)
		return g.rate.mean
	}
	// Receipts every 20 ms of a sender that never pauses: what arrives is what the link carries.
	busy := func(g *goodput) {
		for i := range 100 {
			g.observe(Receipt{Bytes: uint64(i) * 5000, Time: time.Duration(i) * 20 * ms, Busy: true})
		}
	}
	idle := func(g *goodput) { // a row now and then
		for i := range 100 {
			g.observe(Receipt{Bytes: 500e3 + uint64(i)*2304, Time: 2*time.Second + time.Duration(i)*100*ms})
		}
	}
	if r := rate(busy); r < 249e3 || r > 251e3 {
		t.Errorf("busy: %.0f bytes/s of 250000", r)
	}
	if r := rate(func(g *goodput) { busy(g); idle(g) }); r < 249e3 {
		t.Errorf("a sender with little to send counted as a slow link: %.0f bytes/s", r)
	}
	if r := rate(idle); r != 0 {
		t.Errorf("little to send: %.0f bytes/s", r)
	}
	slower := func(g *goodput) {
		for i := range 100 {
			g.observe(Receipt{Bytes: 500e3 + uint64(i)*500, Time: 2*time.Second + time.Duration(i)*20*ms, Busy: true})
		}
	}
	if r := rate(func(g *goodput) { busy(g); slower(g) }); r > 50e3 {
		t.Errorf("a link that became slower: %.0f bytes/s of 25000", r)
	}
	burst := func(g *goodput) { // unpaced, but much at once
		g.observe(Receipt{Bytes: 0, Time: 0})
		g.observe(Receipt{Bytes: 64 << 10, Time: 50 * ms})
	}
	if r := rate(func(g *goodput) { busy(g); g.restart(); burst(g) }); r < 300e3 {
		t.Errorf("a burst at 1.3 MB/s leaves %.0f bytes/s", r)
	}
}

func TestBatchCost(t *testing.T) {
	var c BatchCost
	if _, _, known := c.Cost(1); known {
		t.Error("known before anything was seen")
	}
	for range 10 {
		c.Observe(1, 30*ms)
	}
	if d, dev, _ := c.Cost(11); !near(d, 150*ms, ms) || dev > ms { // 0.4 of a first for each further
		t.Errorf("by the usual share: %s, off by %s", d, dev)
	}
	for i := range 30 {
		c.Observe(1+i%8, 30*ms+time.Duration(i%8)*6*ms)
	}
	if d, _, _ := c.Cost(11); !near(d, 90*ms, 3*ms) {
		t.Errorf("as measured: %s", d)
	}
	if d, _, _ := c.Cost(0); d != 0 {
		t.Errorf("nothing costs %s", d)
	}
}

func BenchmarkPredict(b *testing.B) {
	m := connected(newClock(), 50*ms)
	for b.Loop() {
		m.Predict(Ask{Rows: 3, Bytes: 7000})
	}
}

func BenchmarkObserve(b *testing.B) {
	c := newClock()
	m := connected(c, 50*ms)
	var sent uint64
	for b.Loop() {
		sent += 10
		c.Time = c.Add(250 * ms)
		m.Observe(counters(50*ms, sent, 0))
	}
}
