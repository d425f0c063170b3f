package speculate

import (
	"math"
	"math/rand/v2"
	"testing"
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
	for rows, want := range map[int]float64{1: 10, 2: 25, 3: 40, 4: 45, 5: 50, 7: 70} {
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

// play decodes tokens with a drafter that costs nothing, or something, and is right with some
// probability, and returns the time over that of decoding one by one.
func play(m machine, right float64, token float64, tokens int, rng *rand.Rand) float64 {
	var v Verifier
	cost := func(rows int) float64 { return m[rows] * (0.95 + 0.1*rng.Float64()) }
	spent, said := 0., 0
	for said < tokens {
		var levels []int
		n := 0
		if token == 0 {
			levels = []int{4, 4, 4, 4, 4, 4, 4}
			n, _ = v.Free("x", levels)
		} else if d := (Draft{Drafter: "x", Token: token, Left: tokens - said}); v.Worth(d) {
			for v.More(d, levels) {
				levels = append(levels, 4)
				spent += token
			}
			n = len(levels)
		}
		c := cost(n + 1)
		spent += c
		v.Took(n+1, c)
		decided := 1
		for i := range max(n, min(len(levels), 1)) { // of a free draft the first is compared in any case
			ok := rng.Float64() < right
			v.Checked("x", levels[i], ok)
			if !ok {
				break
			}
			if i < n {
				decided++
			}
		}
		if n > 0 {
			v.Used("x")
		}
		v.Decided(decided)
		said += decided
	}
	return spent / (float64(said) * m[1])
}

// Over a thousand tokens drafting is never slower than not drafting by more than a few per
// cent, whatever a row costs and however often a draft is right; and it is faster by what the
// costs allow where it may be.
func TestNeverMuchSlower(t *testing.T) {
	rng := func() *rand.Rand { return rand.New(rand.NewPCG(14, 1)) } // its own for each case: maps have no order
	costs := map[string]machine{
		"gpu": further(0.05), "board": further(0.2), "half": further(0.5), "as many passes": further(1.0), "worse": further(1.4),
		"processor": {1: 1, 2: 3, 3: 3, 4: 3.9, 5: 4.1, 6: 4.3, 7: 4.7, 8: 5.3},
	}
	for name, m := range costs {
		for _, right := range []float64{0, 0.1, 0.3, 0.6, 0.8, 0.95} {
			for _, token := range []float64{0, 0.05, 0.3, 1} {
				if got := play(m, right, token, 1000, rng()); got > 1.04 {
					t.Errorf("%s, right at %v, %v for a draft: %.3f of the time of not drafting", name, right, token, got)
				}
			}
		}
	}
	for _, c := range []struct {
		m            machine
		right, token float64
		most         float64
	}{
		{costs["gpu"], 0.8, 0, 0.40},
		{costs["gpu"], 0.9, 0.1, 0.45},
		{costs["board"], 0.8, 0, 0.62},
		{costs["half"], 0.95, 0, 0.72},
		{costs["processor"], 0.95, 0, 0.96},
	} {
		if got := play(c.m, c.right, c.token, 1000, rng()); got > c.most {
			t.Errorf("%v, right at %v, %v for a draft: %.3f of the time, want at most %v", c.m, c.right, c.token, got, c.most)
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
	v.Used("draft")
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
