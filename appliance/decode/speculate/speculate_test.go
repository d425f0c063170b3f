package speculate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"skerry/build/testseed"
)

// machine is what passes cost, in units of a pass of one row.
type machine map[int]float64

func (m machine) teach(v *Verifier) {
	for rows, c := range m {
		v.Took(rows, c)
	}
}

// further has each further row cost a share of the first.
func further(share float64) machine {
	m := machine{}
	for rows := 1; rows <= MostDraft+1; rows++ {
		m[rows] = 1 + share*float64(rows-1)
	}
	return m
}

func TestCosts(t *testing.T) {
	var c Costs
	if c.Of(1) != 0 || c.Of(5) != 0 {
		t.Error("known before anything was seen")
	}
	c.Observe(1, 10)
	for rows, want := range map[int]float64{1: 10, 2: 14, 8: 38} {
		if got := c.Of(rows); math.Abs(got-want) > 1e-9 {
			t.Errorf("by the usual share %d rows cost %v, want %v", rows, got, want)
		}
	}
	c.Observe(3, 40)
	c.Observe(5, 50)
	c.Observe(0, 1)
	c.Observe(100, 1)
	c.Observe(4, math.NaN())
	for rows, want := range map[int]float64{1: 10, 2: 25, 3: 40, 4: 45, 5: 50, 7: 58} {
		if got := c.Of(rows); math.Abs(got-want) > 1e-9 {
			t.Errorf("%d rows cost %v, want %v", rows, got, want)
		}
	}
	for range 100 {
		c.Observe(5, 20)
	}
	if got := c.Of(5); math.Abs(got-20) > 0.1 {
		t.Errorf("it has not learnt that 5 rows cost 20, but %v", got)
	}
}

func TestAcceptance(t *testing.T) {
	var a Acceptance
	if a.Of(0) >= a.Of(Levels-1) || a.Mean() != meanPrior {
		t.Errorf("at first %v, %v, %v", a.Of(0), a.Of(Levels-1), a.Mean())
	}
	for i := range 200 {
		a.Observe(2, i%4 == 0)
	}
	if got := a.Of(2); math.Abs(got-0.25) > 0.05 {
		t.Errorf("a quarter accepted, %v expected", got)
	}
	if got := a.Of(4); got != priors[4] {
		t.Errorf("another level has changed to %v", got)
	}
	for range 200 {
		a.Observe(2, true)
	}
	if got := a.Of(2); got < 0.9 {
		t.Errorf("of late all accepted, %v expected", got)
	}
	for c, want := range map[float64]int{0: 0, 0.31: 1, 0.5: 2, 0.7: 3, 0.9: 4, 1: 5} {
		if got := LevelOf(c); got != want {
			t.Errorf("confidence %v is level %d, want %d", c, got, want)
		}
	}
}

// How many drafts are worth a check follows what it costs and how often they are accepted.
func TestFreeDrafts(t *testing.T) {
	const high, low = 5, 0
	for name, c := range map[string]struct {
		costs  machine
		levels []int
		least  int
		most   int
	}{
		"a graphics processor, certain":     {further(0.05), []int{high, high, high, high, high, high, high}, 7, 7},
		"the same, uncertain":               {further(0.05), []int{low, low, low, low, low, low, low}, 1, 3},
		"a processor, certain":              {further(0.35), []int{high, high, high, high, high, high, high}, 7, 7},
		"the same, uncertain from the 3rd":  {further(0.35), []int{high, high, low, low, low}, 2, 2},
		"a processor, uncertain":            {further(0.35), []int{low, low, low}, 0, 0},
		"rows cost as much as passes":       {further(1), []int{high, high, high, high}, 0, 0},
		"two rows are dear, eight are not":  {machine{1: 1, 2: 3, 4: 3.5, 8: 4}, []int{high, high, high, high, high, high, high}, 7, 7},
		"the same, with one draft":          {machine{1: 1, 2: 3, 4: 3.5, 8: 4}, []int{high}, 0, 0},
		"nothing is drafted":                {further(0.05), nil, 0, 0},
		"nothing is known of passes":        {nil, []int{high}, 0, 0},
		"more is drafted than checked ever": {further(0.01), make12(high), MostDraft, MostDraft},
	} {
		var v Verifier
		c.costs.teach(&v)
		if n, _ := v.Free("lookup", c.levels); n < c.least || n > c.most {
			t.Errorf("%s: %d drafts, want %d to %d", name, n, c.least, c.most)
		}
	}
	v := Verifier{Always: true}
	further(1).teach(&v)
	if n, _ := v.Free("lookup", []int{low, low}); n == 0 {
		t.Error("it is to draft always, and does not")
	}
}

func make12(level int) []int {
	var out []int
	for range 12 {
		out = append(out, level)
	}
	return out
}

// A costly drafter is asked where it pays, with what it lacks of the text and what is left of
// the answer in mind; it drafts on while it is confident.
func TestCostlyDrafts(t *testing.T) {
	var v Verifier
	further(0.3).teach(&v)
	d := Draft{Drafter: "draft", Token: 0.2, Left: 100}
	for range 200 {
		v.Checked("draft", 5, true)
	}
	if !v.Worth(d) {
		t.Error("always right and cheap, and not worth it")
	}
	if d.Backlog = 500; v.Worth(d) {
		t.Error("it lacks more than it can ever save")
	}
	if d.Backlog, d.Rate = 0, 100; v.Worth(d) {
		t.Error("something else is faster")
	}
	if d.Rate, d.Token = 0, 3; v.Worth(d) {
		t.Error("it takes longer than the model")
	}
	d.Token = 0.2
	if !v.More(d, nil) || !v.More(d, []int{5, 5}) || v.More(d, make12(5)) {
		t.Error("a confident draft is to go on, up to the most")
	}
	for range 200 {
		v.Checked("draft", 0, false)
	}
	if v.More(d, []int{5, 0}) {
		t.Error("it goes on behind what is never accepted")
	}
}

// table is a machine, a drafter and how often it is right.
type table struct {
	machine
	right  func(i int) float64 // of the i-th token
	token  float64             // a drafted token, 0: nothing
	lacks  float64             // what each further position of a backlog costs of a drafted token
	prompt int
}

// play decodes answers of so many tokens each, one after the other, by what was learnt before, and
// returns their time over that of decoding one by one.
func (c table) play(v *Verifier, answers, tokens int, rng *rand.Rand) float64 {
	spent, all := 0., 0
	for range answers {
		*v = *v.Clone()
		said, behind := 0, c.prompt
		for said < tokens {
			n, levels, took := c.draft(v, tokens-said, &behind)
			v.Took(n+1, c.machine[n+1]*(0.95+0.1*rng.Float64()))
			spent += took + c.machine[n+1]
			right, decided := c.right(all+said), 1
			for i := range max(n, min(len(levels), 1)) { // the first is compared in any case
				ok := rng.Float64() < right
				v.Checked("x", levels[i], ok)
				if !ok {
					break
				}
				if i < n {
					decided++
				}
			}
			v.Decided(decided)
			said += decided
			if behind += decided; len(levels) > 0 {
				behind = 0
			}
		}
		all += said
	}
	return spent / (float64(all) * c.machine[1])
}

// draft returns how many of the drafted tokens are checked, their levels, and what drafting took.
func (c table) draft(v *Verifier, left int, behind *int) (n int, levels []int, took float64) {
	switch {
	case v.Plain():
	case c.token == 0:
		levels = []int{4, 4, 4, 4, 4, 4, 4}[:min(left-1, 7)]
		if n, _ = v.Free("x", levels); n > 0 {
			v.Drafted("x", 0)
		}
	default:
		backlog := c.token * c.lacks * float64(*behind)
		d := Draft{Drafter: "x", Token: c.token, Backlog: backlog, Left: left}
		if !v.Worth(d) {
			return 0, nil, 0
		}
		for took = backlog; len(levels) < left-1 && v.More(d, levels); took += c.token {
			levels = append(levels, 4)
		}
		v.Drafted("x", took)
		n = v.Keep(d, levels)
	}
	return n, levels, took
}

// fixed is the time over that of decoding one by one of drafting as many tokens as are best.
func (c table) fixed(right float64) (best float64) {
	best = 1
	for n := 1; n <= MostDraft; n++ {
		best = min(best, (float64(n)*c.token+c.machine[n+1])/(Expected(n, right)*c.machine[1]))
	}
	return best
}

// machines are of a pass of one row in the time of one; of a link each check takes a round trip
// beside.
func machines() map[string]machine {
	all := map[string]machine{
		"gpu": further(0.05), "board": further(0.2), "0.4": further(0.4), "half": further(0.5), "as many passes": further(1.0), "worse": further(1.4),
		"processor": {1: 1, 2: 3, 3: 3, 4: 3.9, 5: 4.1, 6: 4.3, 7: 4.7, 8: 5.3},
		"1.5B":      {1: 1, 2: 1.94, 3: 2.7, 4: 3.37, 5: 4.1, 6: 4.7, 7: 5.3, 8: 5.97},
	}
	for _, rtt := range []float64{0.1, 1} {
		far := machine{}
		for rows, c := range all["0.4"] {
			far[rows] = c + rtt
		}
		all[fmt.Sprintf("0.4 behind a round trip of %g", rtt)] = far
	}
	return all
}

// Whatever a row costs, a drafted token takes and however often it is right, drafting is never
// slower than not drafting by more than three per cent after the first tokens, the prompt that the
// draft has to compute included; and where drafting pays it is within a tenth of the best
// length that never changes.
func TestNeverMuchSlower(t *testing.T) {
	seed := testseed.Of(t)
	const answers, tokens = 12, 128
	for name, m := range machines() {
		for _, right := range []float64{0, 0.3, 0.6, 0.8, 0.9, 0.97} {
			for _, token := range []float64{0, 0.02, 0.1, 0.3, 0.6, 1} {
				for _, prompt := range []int{0, 200} {
					c := table{machine: m, right: func(int) float64 { return right }, token: token, lacks: 0.2, prompt: prompt}
					rng, v := rand.New(rand.NewPCG(seed, 1)), new(Verifier)
					first := c.play(v, 1, tokens, rng)
					v = new(Verifier)
					what := fmt.Sprintf("%s, right at %v, %v for a draft, a prompt of %d", name, right, token, prompt)
					lacks := token * c.lacks * float64(prompt) / m[1]
					if lacks > 3 { // to be found out only after thousands of tokens, but for a calibration
						v.Expect("x", right)
					}
					got := c.play(v, answers, tokens, rng)
					if got > 1.03 {
						t.Errorf("%s: %.3f of the time of not drafting", what, got)
					}
					if most := 1.03 + 8./tokens; first > most {
						t.Errorf("%s: the first answer takes %.3f of the time of not drafting", what, first)
					}
					got = c.play(v, 2*answers, tokens, rng)
					chance := 2 / math.Sqrt(2*answers*tokens/Expected(MostDraft, right))
					if best := c.fixed(right) + lacks/tokens; best < 0.9 && got > (1.1+chance)*best {
						t.Errorf("%s: %.3f of the time, the best length takes %.3f", what, got, best)
					}
				}
			}
		}
	}
}

// A drafter that begins to be right is found out, though it did not pay before.
func TestTriedAgain(t *testing.T) {
	var v Verifier
	further(0.3).teach(&v)
	for range 100 {
		v.Checked("draft", 4, false)
	}
	d := Draft{Drafter: "draft", Token: 0.3, Left: 1000}
	v.kind("draft").credit = 0
	tokens := 0
	for !v.Worth(d) {
		v.Decided(1)
		if tokens++; tokens > 1000 {
			t.Fatal("it is never tried again")
		}
	}
	if tokens < 50 {
		t.Errorf("tried again after %d tokens", tokens)
	}
}
