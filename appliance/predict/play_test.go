package predict

import (
	"container/heap"
	"math/rand/v2"
	"testing"
)

// event is something that happens at a time.
type event struct {
	at   float64
	seq  int
	what func()
}

type events struct {
	queue []event
	now   float64
	count int
}

func (e *events) Len() int { return len(e.queue) }
func (e *events) Less(i, j int) bool {
	if e.queue[i].at != e.queue[j].at {
		return e.queue[i].at < e.queue[j].at
	}
	return e.queue[i].seq < e.queue[j].seq
}
func (e *events) Swap(i, j int) { e.queue[i], e.queue[j] = e.queue[j], e.queue[i] }
func (e *events) Push(x any)    { e.queue = append(e.queue, x.(event)) }
func (e *events) Pop() any {
	last := e.queue[len(e.queue)-1]
	e.queue = e.queue[:len(e.queue)-1]
	return last
}

func (e *events) in(d float64, what func()) {
	e.count++
	heap.Push(e, event{e.now + d, e.count, what})
}

// until runs events as long as more is wanted.
func (e *events) until(done func() bool) {
	for !done() && e.Len() > 0 {
		next := heap.Pop(e).(event)
		e.now = next.at
		next.what()
	}
}

// drafting is a board and a cloud of verified, by events: two machines that know of each
// other what has travelled.
type drafting struct {
	events
	pipeline
	right    func() bool
	branch   int    // of the board
	drafted  int    // on this branch
	heard    int    // positions of this branch whose check is known
	drafts   bool   // one is under way
	queue    []bool // at the cloud, not checked, right or not
	of       int    // branch of the queue
	checking bool
	said     int // tokens
	sent     int // drafts
	waits    int
	busy     float64 // of the cloud
}

func (d *drafting) draftNext() {
	if d.drafts || d.drafted-d.heard >= d.window {
		return
	}
	d.drafts = true
	branch := d.branch
	d.in(d.draft, func() {
		if branch != d.branch { // rejected meanwhile
			return
		}
		d.drafts = false
		d.drafted++
		d.sent++
		right := d.right()
		d.in(d.there, func() { d.arrive(branch, right) })
		d.draftNext()
	})
}

func (d *drafting) arrive(branch int, right bool) {
	if branch < d.of { // of a branch that is known to be wrong
		return
	}
	d.queue = append(d.queue, right)
	d.checkNext()
}

func (d *drafting) checkNext() {
	if d.checking || len(d.queue) == 0 {
		return
	}
	d.checking = true
	// What arrives at this very moment is part of it.
	d.in(0, func() {
		k := min(len(d.queue), d.window)
		batch := d.queue[:k]
		d.queue = d.queue[k:]
		took := d.check(k)
		d.busy += took
		d.in(took, func() {
			d.checking = false
			for i, right := range batch {
				if !right {
					d.queue, d.of = nil, d.of+1
					d.in(d.back, func() { d.correct(i + 1) })
					return
				}
			}
			d.in(d.back, func() { d.said += k; d.heard += k; d.draftNext() })
			d.checkNext()
		})
	})
}

// correct goes on after the token that a check has put right.
func (d *drafting) correct(tokens int) {
	d.said += tokens
	d.waits++
	d.branch++
	d.drafted, d.heard, d.drafts = 0, 0, false
	d.draftNext()
}

// Over some thousand wrong drafts drawn at random the schedule is as two machines play it.
func TestVerifiedAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 14))
	const runs = 2500
	type board struct {
		draft  float64
		window int
	}
	for _, g := range []float64{.3, .718, .913} {
		for _, rtt := range []float64{0, .0502, .2003} {
			for _, b := range []board{{.0126, 16}, {.0503, 4}, {.0126, 1}} {
				line := pipeline{draft: b.draft, there: rtt/2 + .0001, back: rtt / 2, window: b.window, check: func(rows int) float64 { return .0351 * (1 + .05*float64(rows-1)) }}
				d := &drafting{pipeline: line, right: func() bool { return rng.Float64() < g }}
				d.draftNext()
				d.until(func() bool { return d.waits >= runs })
				took, cloud, drafts, waits := line.perToken(g, runLength)
				n := float64(d.said)
				for _, c := range []struct {
					what           string
					played, wanted float64
				}{{"time", d.now / n, took}, {"cloud's time", d.busy / n, cloud}, {"drafts", float64(d.sent) / n, drafts}, {"waits", float64(d.waits) / n, waits}} {
					if !near(c.wanted, c.played, .04) {
						t.Errorf("g %g, RTT %g, draft %g, window %d: %s a token %.5f, played %.5f", g, rtt, b.draft, b.window, c.what, c.wanted, c.played)
					}
				}
			}
		}
	}
}

func TestCollaborativeAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	const tokens = 300000
	for _, m := range []float64{.05, .6} {
		for _, believed := range []float64{.2, .8, .97} {
			c := usual()
			c.Cloud.Batch, c.Draft.Believed, c.Link.RTT = Batch{{2, m}, {8, m / 2}}, []Believed{{.75, believed, 1}}, .02
			now, cloud, asks, waiting := 0.0, 0.0, 0, 0
			for range tokens {
				now += c.Draft.Cost * c.Board.Pass
				waiting++
				if rng.Float64() < believed {
					continue
				}
				pass := c.Cloud.Pass * c.Cloud.Batch.passes(float64(waiting))
				now, cloud, asks, waiting = now+c.Link.RTT+pass, cloud+pass, asks+1, 0
			}
			p := of(t, c, Collaborative)
			if !near(p.Token, now/tokens, .03) || !near(p.Cloud, cloud/tokens, .03) || !near(p.Asks, float64(asks)/tokens, .03) {
				t.Errorf("m %g, believed %g: %+v, played %g s a token, %g of the cloud's, %g asks", m, believed, p, now/tokens, cloud/tokens, float64(asks)/tokens)
			}
		}
	}
}

func TestSpeculationAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, l := range []Lookup{{}, {.4, .7}} {
		m, d := Machine{Pass: .03, Batch: Batch{{2, .3}, {8, .2}}}, Draft{Cost: .2, Acceptance: .8}
		want, draft, match := drafted(m, d, d.Cost, l)
		now, said := 0.0, 0
		for said < 200000 {
			k, g, cost := draft, d.Acceptance, d.Cost
			if match > 0 && rng.Float64() < l.Share {
				k, g, cost = match, l.Acceptance, 0
			}
			now += m.Pass * (float64(k)*cost + m.Batch.passes(float64(k+1)))
			for said++; k > 0 && rng.Float64() < g; k-- {
				said++
			}
		}
		if !near(want, now/float64(said), .02) {
			t.Errorf("%+v: %g s a token with drafts of %d and %d, played %g", l, want, draft, match, now/float64(said))
		}
	}
}
