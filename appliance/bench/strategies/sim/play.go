package sim

import "math"

const (
	// idBytes is a token id on the wire.
	idBytes = 4
	// prefillRows is how many prompt positions the head stage computes before it
	// hands them on, idleRows how many the mid stage catches up at a time while
	// the edge waits: as the token loop does.
	prefillRows = 64
	idleRows    = 8
)

// play is one answer being played. Times count from its beginning.
type play struct {
	Setting
	Strategy
	Result
	now  float64 // at the edge
	wire pipe    // up; what comes down is too small to count
	far  float64 // when the cloud is free
	come float64 // when the last row sent has arrived
	mid  int     // rows the mid stage has not computed
	pend int     // rows the cloud has not computed
	want int     // of these rows the logits are wanted
	lost int     // and so many turn out to be wrong

	begun bool // the cloud was asked

	// cloud has a cloud that others use too compute, and returns when it has; nil for a cloud of
	// its own. out is told of each token, nil for nobody.
	cloud func(Request) (done float64)
	out   func()
}

// pipe is one way of the link: bytes queue for the wire, then travel.
type pipe struct {
	rate, delay float64
	free        float64
}

// send returns when the last of bytes handed over at a time has arrived.
func (p *pipe) send(at, bytes float64) float64 {
	p.free = max(p.free, at)
	if p.rate > 0 {
		p.free += bytes * 8 / p.rate
	}
	return p.free + p.delay
}

func newPlay(s Setting, st Strategy) *play {
	return &play{Setting: s, Strategy: st, wire: pipe{rate: s.Rate, delay: s.RTT / 2}, want: 1}
}

func (p *play) edge() float64 { return p.T * p.Slow }

// compute keeps the edge busy.
func (p *play) compute(d float64) {
	p.now += d
	p.Edge += d
}

// up sends bytes and returns when they have arrived.
func (p *play) up(bytes float64) float64 {
	p.Bytes += bytes
	return p.wire.send(p.now, bytes)
}

func (p *play) rowBytes(n int) float64 { return float64(n) * float64(p.Width) * p.ValueBytes }

// said counts a token that is out.
func (p *play) said(equal bool) {
	if p.out != nil {
		p.out()
	}
	if p.Tokens == 0 {
		p.First = []float64{p.now}
	}
	p.Tokens++
	if equal {
		p.Agree++
	}
}

// cloudOnly has the cloud stream its tokens: each is under way while the next is
// computed.
func (p *play) cloudOnly(a Answer) {
	p.Asks = 1
	p.far = p.up(idBytes * float64(a.Prompt))
	for i, t := range a.Tokens {
		k := 1
		if i == 0 {
			k = a.Prompt
		}
		c := p.pass(p.T, k, 1)
		p.far = p.computed(p.far, k, 0, c)
		p.Cloud += c
		p.Positions += k
		p.now = p.far + p.RTT/2
		p.said(t.EqualUp)
	}
	p.Comm = p.now - p.Cloud
}

// naive sends the whole prefix for each token; what the cloud computes of it is
// only the new position.
func (p *play) naive(a Answer) {
	for i, t := range a.Tokens {
		k := 1
		if i == 0 {
			k = a.Prompt
		}
		for done := 0; done < k; done += prefillRows {
			p.compute(p.pass(p.edge(), min(prefillRows, k-done), p.Exit1))
		}
		p.come = p.up(p.rowBytes(a.Prompt + i))
		p.pend += k
		p.wait(p.ask(), false)
		p.said(t.EqualUp)
	}
}

// split lets the exits speak where they are sure enough.
func (p *play) split(a Answer) {
	for i, t := range a.Tokens {
		k := 1
		if i == 0 {
			k = a.Prompt
		}
		for done := 0; done < k; done += prefillRows {
			p.head(min(prefillRows, k-done))
		}
		p.said(p.decide(t))
	}
}

// head computes rows in the head stage and hands them on.
func (p *play) head(k int) {
	p.compute(p.pass(p.edge(), k, p.Exit1))
	p.mid += k
	if p.Kind != Standalone {
		p.come = p.up(p.rowBytes(k))
		p.pend += k
	}
}

// decide plays one token and returns whether it is the unsplit model's.
func (p *play) decide(t Token) (equal bool) {
	if p.T1 <= 1 {
		p.compute(p.edge() * p.Head)
		if t.C1 >= p.T1 {
			return t.Equal1
		}
	}
	answer, asked := flight{}, false
	if p.Eager && p.Kind == Split {
		answer, asked = p.ask(), true
	}
	if p.T2 <= 1 || p.Kind == Standalone {
		p.compute(p.pass(p.edge(), p.mid, p.Exit2-p.Exit1) + p.edge()*p.Head)
		p.mid = 0
		if t.C2 >= p.T2 || p.Kind == Standalone {
			return t.Equal2
		}
	}
	if !asked {
		answer = p.ask()
	}
	p.wait(answer, !p.Blocking)
	return t.EqualUp
}

// flight is an answer on its way.
type flight struct{ compute, at float64 }

// ask leaves now; the cloud begins when it is free and has the ask and every row.
// Asks are small and go ahead of rows that queue.
func (p *play) ask() flight {
	p.Asks++
	begin := math.Max(p.far, math.Max(p.now+p.RTT/2, p.come))
	c := p.pass(p.T, p.pend, p.Setting.share(p.Strategy))
	p.far = p.computed(begin, p.pend, 0, c)
	p.Cloud += c
	p.Positions += p.pend
	p.pend = 0
	return flight{c, p.far + p.RTT/2}
}

// computed is when the cloud has drafted for so long and then computed rows, alone in c, both from
// a time on.
func (p *play) computed(at float64, rows int, drafts, c float64) float64 {
	if p.cloud != nil {
		first := !p.begun
		p.begun = true
		return p.cloud(Request{at, rows, drafts, p.want, p.lost, first})
	}
	return at + drafts + c
}

// wait takes the answer; meanwhile the mid stage may catch up, and what it has
// begun it ends.
func (p *play) wait(f flight, catchUp bool) {
	for catchUp && p.mid > 0 && p.now < f.at {
		k := min(idleRows, p.mid)
		p.compute(p.pass(p.edge(), k, p.Exit2-p.Exit1))
		p.mid -= k
	}
	if idle := f.at - p.now; idle > 0 {
		p.Comm += idle - min(idle, f.compute)
		p.now = f.at
	}
}
