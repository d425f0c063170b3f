package predict

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// usual is a case in which every mode can be had: a pass of 35 ms on both sides, as of a GPU,
// token ids up, and a draft of 0.36 of a pass.
func usual() Case {
	return Case{
		Board: Machine{Pass: .035, Batch: EvenBatch(.05)}, Cloud: Machine{Pass: .035, Batch: EvenBatch(.05)},
		Link: Link{RTT: .003}, May: Text,
		Draft:     &Draft{Cost: .36, Acceptance: .913, Believed: []Believed{{.7, .83, .972}, {.75, .80, .981}, {.9, .68, .997}}},
		Threshold: .75, Prompt: 16, Answer: 128,
	}
}

// of predicts one mode of a case.
func of(t interface {
	Fatal(...any)
	Helper()
}, c Case, mode string) Prediction {
	t.Helper()
	all, err := All(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Mode == mode {
			if p.Not != "" {
				t.Fatal(mode, "cannot be had:", p.Not)
			}
			return p
		}
	}
	t.Fatal("no mode ", mode)
	return Prediction{}
}

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*math.Abs(want)+1e-12 }

func TestLimits(t *testing.T) {
	const T = .035
	for _, c := range []struct {
		name, mode string
		change     func(*Case)
		token      float64
		draft      int
	}{
		{"a pass", Unsplit, func(*Case) {}, T, 0},
		{"a batch costs as much as its positions", UnsplitDraft, func(c *Case) { c.Board.Batch = EvenBatch(1) }, T, 0},
		{"no draft is right", UnsplitDraft, func(c *Case) { c.Draft.Acceptance = 0 }, T, 0},
		{"all drafts are right and free, and so are batches", UnsplitDraft, func(c *Case) { c.Draft.Acceptance, c.Draft.Cost, c.Board.Batch = 1, 0, EvenBatch(0) }, T / 8, 7},
		{"all drafts are right, batches are free", UnsplitDraft, func(c *Case) { c.Draft.Acceptance, c.Board.Batch = 1, EvenBatch(0) }, T * (7*.36 + 1) / 8, 7},
		{"a match at every position, nothing else", UnsplitDraft, func(c *Case) { c.Draft, c.Lookup, c.Board.Batch = nil, Lookup{1, 1}, EvenBatch(0) }, T / 8, 0},
		{"the cloud drafts in less", CloudLed, func(c *Case) {
			c.Draft.Acceptance, c.Draft.CloudCost, c.Cloud.Batch = 1, .1, EvenBatch(0)
		}, T * (.7 + 1) / 8, 7},
		{"the draft alone", Standalone, func(*Case) {}, T * .36, 0},
		{"the cloud streams, however far", CloudOnly, func(c *Case) { c.Link.RTT = 10 }, T, 0},
		{"nothing is believed", Collaborative, func(c *Case) { c.Threshold = .99 }, .36*T + .003 + T, 0},
		{"all is believed", Collaborative, func(c *Case) { c.Draft.Believed = []Believed{{.8, 1, 1}} }, .36 * T, 0},
		{"half is believed, batches are free", Collaborative, func(c *Case) {
			c.Draft.Believed, c.Cloud.Batch = []Believed{{.75, .5, 1}}, EvenBatch(0)
		}, .36*T + (.003+T)/2, 0},
		{"half is believed, batches save nothing", Collaborative, func(c *Case) {
			c.Draft.Believed, c.Cloud.Batch = []Believed{{.75, .5, 1}}, EvenBatch(1)
		}, .36*T + .003/2 + T, 0},
		{"hidden states: the first stage on the board", Collaborative, func(c *Case) {
			c.May, c.Split, c.Threshold = Hidden, .25, .99
		}, (.36+.25)*T + .003 + .75*T, 0},
		{"no draft is right: one after the other", Verified, func(c *Case) { c.Draft.Acceptance = 0 }, .003 + T, 0},
		{"all are right: two of seven are drafted during the check before", Verified, func(c *Case) { c.Draft.Acceptance, c.Link.RTT = 1, 0 }, T * (5*.36 + 1.35) / 8, 7},
		{"all are right, and a long way leaves time to draft them", Verified, func(c *Case) { c.Draft.Acceptance, c.Link.RTT = 1, 10*T }, T * (10 + 1.35) / 8, 7},
		{"all are right and free: as many as the cloud can check", Verified, func(c *Case) {
			c.Draft.Acceptance, c.Draft.Cost, c.Link.RTT, c.Cloud.Batch = 1, 0, 0, EvenBatch(1)
		}, T, 0},
		{"hidden states: the first stage computes what is checked as one batch", Verified, func(c *Case) {
			c.May, c.Split, c.Draft.Acceptance, c.Draft.Cost, c.Link.RTT = Hidden, .25, 1, 0, 0
		}, T * 1.35 / 8, 7},
		{"a link too slow for its bytes", Collaborative, func(c *Case) {
			c.May, c.RowBytes, c.Link.Rate, c.Draft.Believed, c.Split = Hidden, 1000, 1000, []Believed{{.8, 1, 1}}, .25
		}, 1, 0},
	} {
		k := usual()
		c.change(&k)
		p := of(t, k, c.mode)
		if !near(p.Token, c.token, 1e-7) {
			t.Errorf("%s: %s takes %.6f s a token, not %.6f", c.name, c.mode, p.Token, c.token)
		}
		if c.draft > 0 && p.Draft != c.draft {
			t.Errorf("%s: %s drafts %d, not %d", c.name, c.mode, p.Draft, c.draft)
		}
	}
}

func TestFirstToken(t *testing.T) {
	c := usual()
	c.Cloud.Batch = Batch{{2, .5}, {16, .1}}
	c.Link.Rate = 1000
	if p, want := of(t, c, CloudOnly), .003+64./1000+.035*(1+.1*15); !near(p.First, want, 1e-9) {
		t.Errorf("to the first token %g s, not %g", p.First, want)
	}
	c.May, c.Split, c.RowBytes = Hidden, .25, 10
	if p, want := of(t, c, Verified), .25*.035*(1+.05*15)+.003+160./1000+.75*.035*(1+.1*15); !near(p.First, want, 1e-9) {
		t.Errorf("with hidden states to the first token %g s, not %g", p.First, want)
	}
}

func TestBatchIsInterpolated(t *testing.T) {
	b := Batch{{2, .94}, {4, .79}, {8, .71}} // a table of measurements
	for rows, want := range map[float64]float64{0: 0, 1: 1, 2: 1.94, 3: (1.94 + 3.37) / 2, 4: 3.37, 8: 5.97, 16: 1 + .71*15} {
		if got := b.passes(rows); !near(got, want, 1e-9) {
			t.Errorf("%g rows cost %g, not %g", rows, got, want)
		}
	}
	if got := EvenBatch(.3).after(.75); !near(got, 1+.3*3, 1e-6) {
		t.Errorf("a batch of four in the mean costs %g", got)
	}
}

// The figures are those of a replay of 959 and 954 recorded positions of a model of 1.5
// billion parameters on code and on general prompts, with one of 0.5 billion as its draft:
// the time over the cloud alone. (Package strategies holds all modes against such a replay.)
func TestAgreesWithRecordedAnswers(t *testing.T) {
	for _, c := range []struct {
		kind   string
		asks   float64 // at the threshold
		rtt    float64
		byText float64 // collaborative
	}{
		{"code", .200, .003, .62},
		{"code", .200, .050, .88},
		{"general", .572, .003, 1.00},
		{"general", .572, .050, 1.76},
	} {
		k := usual()
		k.Link.RTT, k.Answer = c.rtt, 959
		k.Draft.Believed = []Believed{{.75, 1 - c.asks, .98}}
		if got := of(t, k, Collaborative).Token / k.Cloud.Pass; !near(got, c.byText, .015) {
			t.Errorf("%s, RTT %g s: collaborative takes %.3f of the cloud alone, replayed %.2f", c.kind, c.rtt, got, c.byText)
		}
	}
}

// The figures are those of 3000 tokens drawn at random that exits after a quarter and half of
// the model decide.
func TestAgreesWithExitsDrawnAtRandom(t *testing.T) {
	for _, c := range []struct{ T, m, p1, p2, g, rtt, want float64 }{
		{.035, .05, .25, .48, .70, .003, .93}, {.035, .05, .25, .48, .70, .050, 1.64},
		{.035, .05, .50, .85, .92, .003, .57}, {.035, .05, .50, .85, .92, .200, 1.44},
		{.013, .25, .40, .68, .80, .003, .90}, {.013, .25, .40, .68, .80, .100, 3.29},
		{.013, .60, .50, .85, .92, .012, 1.12},
	} {
		k := usual()
		k.Board, k.Cloud = Machine{Pass: c.T, Batch: EvenBatch(c.m)}, Machine{Pass: c.T, Batch: EvenBatch(c.m)}
		k.Link.RTT, k.May, k.Split, k.Threshold = c.rtt, Hidden, .25, 0
		k.Draft = Exits{First: .25, Second: .5, Head: .02, Share1: c.p1, Share2: c.p2, Right: 1, Acceptance: c.g}.Draft(k.Board.Batch)
		if got := of(t, k, Collaborative).Token / c.T; !near(got, c.want, .05) {
			t.Errorf("T %g s, m %g, RTT %g s: %.3f of the cloud alone, replayed %.2f", c.T, c.m, c.rtt, got, c.want)
		}
	}
}

// drawn is any case in which every mode can be had.
func drawn(t *rapid.T) Case {
	batch := func(name string) (b Batch) {
		m := rapid.Float64Range(0, 1).Draw(t, name)
		for _, rows := range []int{2, 4, 8} {
			b = append(b, BatchPoint{rows, m})
			m *= rapid.Float64Range(.5, 1).Draw(t, name+" larger")
		}
		return b
	}
	share := rapid.Float64Range(0, 1)
	c := Case{
		Board: Machine{Pass: rapid.Float64Range(.001, 2).Draw(t, "board"), Batch: batch("board's m")},
		Cloud: Machine{Pass: rapid.Float64Range(.001, .5).Draw(t, "cloud"), Batch: batch("cloud's m")},
		Link: Link{
			RTT: rapid.Float64Range(0, .3).Draw(t, "rtt"), Deviation: rapid.Float64Range(0, .05).Draw(t, "deviation"),
			Rate: rapid.Float64Range(1e4, 1e7).Draw(t, "rate"), Loss: rapid.Float64Range(0, .1).Draw(t, "loss"),
		},
		May: Text, Split: rapid.Float64Range(.1, .6).Draw(t, "split"), RowBytes: 2048,
		Draft:  &Draft{Cost: rapid.Float64Range(.02, 1).Draw(t, "draft"), Acceptance: share.Draw(t, "acceptance")},
		Prompt: rapid.IntRange(0, 4096).Draw(t, "prompt"), Answer: rapid.IntRange(1, 400).Draw(t, "answer"),
	}
	c.Draft.Believed = []Believed{{.5, share.Draw(t, "believed"), 1}}
	c.Threshold = .5
	if rapid.Bool().Draw(t, "hidden") {
		c.May = Hidden
	}
	if rapid.Bool().Draw(t, "matches") {
		c.Lookup = Lookup{share.Draw(t, "match"), share.Draw(t, "match right")}
	}
	return c
}

// A longer way, a slower machine and a slower link never make a token cheaper, and a better
// draft never makes one dearer. Checks that begin a little later may take more positions at
// once, by which verified gains a little.
func TestMonotone(t *testing.T) {
	changes := map[string]func(c *Case, by float64){
		"a longer way":          func(c *Case, by float64) { c.Link.RTT += by * .2 },
		"more losses":           func(c *Case, by float64) { c.Link.Loss = min(1, c.Link.Loss+by*.2) },
		"a slower board":        func(c *Case, by float64) { c.Board.Pass *= 1 + by },
		"a slower cloud":        func(c *Case, by float64) { c.Cloud.Pass *= 1 + by },
		"a slower link":         func(c *Case, by float64) { c.Link.Rate /= 1 + 10*by },
		"a worse draft":         func(c *Case, by float64) { c.Draft.Acceptance *= 1 - by },
		"a draft less believed": func(c *Case, by float64) { c.Draft.Believed[0].Share *= 1 - by },
		"a longer prompt":       func(c *Case, by float64) { c.Prompt += int(1000 * by) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := drawn(t)
				before, err := All(c)
				if err != nil {
					t.Fatal(err)
				}
				d := *c.Draft
				d.Believed = []Believed{d.Believed[0]}
				c.Draft = &d
				if c.Lookup.Share > 0 && name == "a worse draft" {
					c.Lookup.Share = 0
					before, _ = All(c)
				}
				change(&c, rapid.Float64Range(0, 1).Draw(t, "by"))
				after, err := All(c)
				if err != nil {
					t.Fatal(err)
				}
				for i, b := range before {
					a, slack := after[i], 1e-9
					if b.Mode == Verified {
						slack = .15
					}
					if name == "a draft less believed" && b.Mode == Collaborative && c.Cloud.Batch[0].Share < 1 {
						slack = 1e-6
					}
					if a.Not != b.Not {
						t.Fatalf("%s: %q, before %q", b.Mode, a.Not, b.Not)
					}
					if a.Token < b.Token*(1-slack)-1e-12 || a.First < b.First*(1-1e-9)-1e-12 && name != "a draft less believed" {
						t.Fatalf("%s became faster: %g s to the first and %g s a token, before %g and %g", b.Mode, a.First, a.Token, b.First, b.Token)
					}
				}
			})
		})
	}
}

// A draft is never predicted to make a machine that holds the whole model slower, and every
// figure is one.
func TestSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		all, err := All(c)
		if err != nil {
			t.Fatal(err)
		}
		if plain, drafts := of(t, c, Unsplit), of(t, c, UnsplitDraft); drafts.Token > plain.Token*(1+1e-9) {
			t.Fatalf("drafting takes %g s a token, a plain pass %g", drafts.Token, plain.Token)
		}
		for _, p := range all {
			for _, v := range []float64{p.First, p.Token, p.Asks, p.Bytes, p.Cloud, p.Right} {
				if !(v >= 0 && v < 1e9) {
					t.Fatalf("%s: %+v", p.Mode, p)
				}
			}
			if p.Asks > 1+1e-9 || p.Right > 1+1e-9 {
				t.Fatalf("%s: more than one ask a token, or more than all of it right: %+v", p.Mode, p)
			}
		}
	})
}

func TestWhatCannotBeHad(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Case)
		not    map[string]string
	}{
		{"no cloud", func(c *Case) { c.Cloud.Pass = 0 }, map[string]string{Collaborative: "no cloud", Verified: "no cloud", CloudOnly: "no cloud", CloudLed: "no cloud"}},
		{"hidden", func(c *Case) { c.May, c.Split = Hidden, .3 }, map[string]string{CloudOnly: "not see text", CloudLed: "not see text"}},
		{"hidden and not split", func(c *Case) { c.May = Hidden }, map[string]string{Collaborative: "not split", Verified: "not split", CloudOnly: "not split", CloudLed: "not split"}},
		{"no memory for the whole", func(c *Case) { c.Board.Memory, c.WholeBytes, c.BoardBytes = 10, 11, 5 }, map[string]string{Unsplit: "no room", UnsplitDraft: "no room"}},
		{"no memory for a part", func(c *Case) { c.Board.Memory, c.WholeBytes, c.BoardBytes = 10, 20, 11 },
			map[string]string{Unsplit: "no room", UnsplitDraft: "no room", Standalone: "no room", Collaborative: "no room", Verified: "no room"}},
		{"no draft", func(c *Case) { c.Draft = nil }, map[string]string{UnsplitDraft: "nothing", Standalone: "nothing", Collaborative: "nothing", Verified: "nothing", CloudLed: "nothing"}},
		{"no draft, but matches", func(c *Case) { c.Draft, c.Lookup = nil, Lookup{.2, .8} }, map[string]string{Standalone: "nothing", Collaborative: "nothing"}},
		{"an unfit draft", func(c *Case) { c.Draft.Unfit = "unfit" }, map[string]string{Standalone: "unfit"}},
	} {
		k := usual()
		c.change(&k)
		all, err := All(k)
		if err != nil {
			t.Fatal(c.name, err)
		}
		for _, p := range all {
			if want := c.not[p.Mode]; want == "" && p.Not != "" || !strings.Contains(p.Not, want) {
				t.Errorf("%s: %s: %q, not %q", c.name, p.Mode, p.Not, want)
			}
		}
	}
}

func TestImpossibleCases(t *testing.T) {
	for name, change := range map[string]func(*Case){
		"no speed":            func(c *Case) { c.Board.Pass = 0 },
		"negative time":       func(c *Case) { c.Cloud.Pass = -1 },
		"no number":           func(c *Case) { c.Link.RTT = math.NaN() },
		"endless":             func(c *Case) { c.Link.Rate = math.Inf(1) },
		"acceptance":          func(c *Case) { c.Draft.Acceptance = 1.5 },
		"share of a batch":    func(c *Case) { c.Board.Batch = Batch{{2, -1}} },
		"no answer":           func(c *Case) { c.Answer = 0 },
		"what the cloud sees": func(c *Case) { c.May = "everything" },
	} {
		k := usual()
		change(&k)
		if _, err := All(k); !errors.Is(err, ErrCase) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
