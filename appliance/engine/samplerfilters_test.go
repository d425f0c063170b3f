package engine_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"skerry/appliance/infer"
)

// sampled counts what is sampled from one row at many positions.
func sampled(t *testing.T, o infer.Sampling, logits []float32, n int) map[int32]int {
	t.Helper()
	s := sampler(t, vocab(t), o)
	got := map[int32]int{}
	for pos := range n {
		id, err := s.Sample(nil, logits, pos)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.Sample(nil, logits, pos); err != nil || again != id {
			t.Fatalf("position %d: %d, asked again %d, %v", pos, id, again, err)
		}
		got[id]++
	}
	return got
}

func TestBias(t *testing.T) {
	logits := []float32{1, 5, 4, 2}
	for _, one := range []struct {
		bias []infer.TokenBias
		want int32
	}{
		{nil, 1}, {[]infer.TokenBias{{ID: 0, Bias: 10}}, 0}, {[]infer.TokenBias{{ID: 1, Bias: infer.Banned}}, 2}, {[]infer.TokenBias{{ID: 999, Bias: 5}}, 1},
	} {
		s := sampler(t, vocab(t), infer.Sampling{Filters: infer.Filters{Bias: one.bias}})
		if id, err := s.Sample(nil, logits, 0); err != nil || id != one.want {
			t.Errorf("bias %v: token %d, %v, want %d", one.bias, id, err, one.want)
		}
		if id, err := s.Sample([]int32{3, 2, 1, 0}, []float32{2, 4, 5, 1}, 0); err != nil || id != one.want {
			t.Errorf("bias %v: token %d of listed ones, %v, want %d", one.bias, id, err, one.want)
		}
	}
	banned := sampler(t, vocab(t), infer.Sampling{Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 1, Bias: infer.Banned}}}})
	if banned.Allows(1, 0) || !banned.Allows(2, 0) || banned.Possible(1, 0) {
		t.Error("a banned token is allowed, or another is not")
	}
	wanted := sampler(t, vocab(t), infer.Sampling{Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 5, Bias: 100}}}})
	if _, err := wanted.Sample([]int32{1, 2}, []float32{3, 4}, 0); !errors.Is(err, infer.ErrNoCandidate) {
		t.Errorf("a token that is wanted is none of the listed ones: %v", err)
	}
	if wanted.Allows(1, 0) || !wanted.Allows(5, 0) {
		t.Error("another token than the one that is wanted is believed")
	}
	if !wanted.Possible(1, 0) || !wanted.Possible(5, 0) {
		t.Error("a token that others are only wanted more than is called impossible")
	}
}

func TestEndFrom(t *testing.T) {
	v := vocab(t)
	end := int32(-1)
	for id := range int32(v.Size()) {
		if v.End(id) {
			end = id
		}
	}
	logits := make([]float32, v.Size())
	logits[end], logits[300] = 9, 5
	for _, temperature := range []float32{0, 0.01} {
		s := sampler(t, v, infer.Sampling{Temperature: temperature, EndFrom: 3})
		for pos, want := range []int32{300, 300, 300, end, end} {
			if id, err := s.Sample(nil, logits, pos); err != nil || id != want {
				t.Errorf("position %d at temperature %v: %d, %v, want %d", pos, temperature, id, err, want)
			}
		}
	}
	// The position counts, and not how much the sampler was told of: of a grammar's answer that is
	// its own tokens alone.
	s := sampler(t, v, infer.Sampling{EndFrom: 300, Grammar: `root ::= [a-z]*`})
	if s.Possible(end, 299) || s.Allows(end, 299) || !s.Possible(end, 300) || !s.Allows(end, 300) {
		t.Error("the end is not possible from its position on, and before it is not")
	}
}

func TestRarerFilters(t *testing.T) {
	logits := make([]float32, 512)
	logits[1], logits[2], logits[3] = 12, 11.5, 11
	at := infer.Sampling{Temperature: 1, Seed: 3}
	for name, one := range map[string]struct {
		f    infer.Filters
		want []int32
	}{
		"none":                {infer.Filters{}, []int32{1, 2, 3}},
		"top_n_sigma":         {infer.Filters{TopNSigma: 0.7}, []int32{1, 2}},
		"xtc":                 {infer.Filters{XTCProbability: 1, XTCThreshold: 0.1}, []int32{3}},
		"xtc of two":          {infer.Filters{XTCProbability: 1, XTCThreshold: 0.3}, []int32{2, 3}},
		"xtc, too few left":   {infer.Filters{XTCProbability: 1, XTCThreshold: 0.1, MinKeep: 512}, []int32{1, 2, 3}},
		"xtc above a half":    {infer.Filters{XTCProbability: 1, XTCThreshold: 0.6}, []int32{1, 2, 3}},
		"typical":             {infer.Filters{Typical: 0.3}, []int32{2}},
		"a lower temperature": {infer.Filters{DynatempRange: 0.99, DynatempExponent: 20}, []int32{1}},
	} {
		o := at
		o.Filters = one.f
		got := sampled(t, o, logits, 300)
		for _, id := range one.want {
			if got[id] == 0 {
				t.Errorf("%s: %d is never sampled: %v", name, id, got)
			}
			delete(got, id)
		}
		rest := 0
		for id, n := range got {
			if rest += n; id <= 3 || rest > 15 {
				t.Errorf("%s: %d is sampled", name, id)
			}
		}
	}
}

// XTC comes as often as it should, and is not the same at all positions.
// A token that is ruled out, by a bias or by another filter, changes nothing for the others:
// they are sampled as if they were all there is.
func TestFiltersDoNotCountWhatIsRuledOut(t *testing.T) {
	v, r := vocab(t), rand.New(rand.NewPCG(3, 9))
	for name, one := range map[string]struct {
		whole, alone infer.Filters
	}{
		"top_n_sigma":               {infer.Filters{TopNSigma: 1}, infer.Filters{TopNSigma: 1}},
		"typical":                   {infer.Filters{Typical: 0.5}, infer.Filters{Typical: 0.5}},
		"top_n_sigma, then typical": {infer.Filters{TopNSigma: 4, Typical: 0.5}, infer.Filters{Typical: 0.5}},
	} {
		banned := name != "top_n_sigma, then typical"
		var ids []int32 // that are not ruled out
		for id := range int32(512) {
			switch left := id%50 == 7; {
			case left || banned && id%100 != 20:
				ids = append(ids, id)
			case banned:
				one.whole.Bias = append(one.whole.Bias, infer.TokenBias{ID: id, Bias: infer.Banned})
			}
		}
		whole := sampler(t, v, infer.Sampling{Temperature: 1, Seed: 3, Filters: one.whole})
		alone := sampler(t, v, infer.Sampling{Temperature: 1, Seed: 3, Filters: one.alone})
		for pos := range 100 {
			logits := randomLogits(512, r)
			if !banned {
				for id := range logits {
					logits[id] = float32(r.Float64()) // more than four deviations below those that are left
				}
				for _, id := range ids {
					logits[id] = 14 + float32(2*r.Float64())
				}
			}
			few := make([]float32, len(ids))
			for i, id := range ids {
				few[i] = logits[id]
			}
			x, err := whole.Sample(nil, logits, pos)
			y, err2 := alone.Sample(ids, few, pos)
			if err != nil || err2 != nil || x != y {
				t.Errorf("%s, position %d: %d (%v), of the others alone %d (%v)", name, pos, x, err, y, err2)
				break
			}
		}
	}
	logits := make([]float32, 512)
	logits[5] = 200 // beside which the others are of no probability at all
	if got := sampled(t, infer.Sampling{Temperature: 1, Filters: infer.Filters{Typical: 0.5}}, logits, 20); got[5] != 20 {
		t.Errorf("beside a certain token: %v", got)
	}
}

// Where all candidates are ruled out by a bias they are sampled all the same, and where none
// is possible that is an error.
func TestNothingIsLeft(t *testing.T) {
	f := infer.Filters{TopNSigma: 1, Typical: 0.5, Bias: []infer.TokenBias{{ID: 0, Bias: infer.Banned}, {ID: 1, Bias: infer.Banned}}}
	s := sampler(t, vocab(t), infer.Sampling{Temperature: 1, Filters: f})
	if id, err := s.Sample(nil, []float32{1, 2}, 0); err != nil || id > 1 {
		t.Errorf("of two banned tokens: %d, %v", id, err)
	}
	none := float32(math.Inf(-1))
	if _, err := s.Sample(nil, []float32{none, none}, 0); !errors.Is(err, infer.ErrNoCandidate) {
		t.Errorf("of none: %v", err)
	}
}

func TestXTCComesAtItsRate(t *testing.T) {
	logits := make([]float32, 512)
	logits[1], logits[2] = 40, 39.5
	const n = 4000
	got := sampled(t, infer.Sampling{Temperature: 0.01, Seed: 9, Filters: infer.Filters{XTCProbability: 0.25, XTCThreshold: 0.1}}, logits, n)
	if d := math.Abs(float64(got[2]) - n/4); d > 5*math.Sqrt(n/4) || got[1]+got[2] != n {
		t.Errorf("sampled were %v", got)
	}
}

// DRY takes from what would go on with a repetition, more the longer it is, and not across
// a breaker; the same after tokens were taken back.
func TestDRY(t *testing.T) {
	v := vocab(t)
	s := sampler(t, v, infer.Sampling{Filters: infer.Filters{DRYMultiplier: 2, DRYBase: 2, DRYAllowed: 2, DRYLast: -1}})
	logits := make([]float32, v.Size())
	logits[303], logits[400] = 3, 2
	history := []int32{300, 301, 302, 303, 300, 301, 302}
	want := func(id int32) {
		t.Helper()
		if got, err := s.Sample(nil, logits, s.Len()); err != nil || got != id {
			t.Errorf("after %d tokens: %d, %v, want %d", s.Len(), got, err, id)
		}
	}
	for i, id := range history {
		if i < 6 {
			want(303)
		}
		if err := s.Accept(id); err != nil {
			t.Fatal(err)
		}
	}
	want(400)
	if err := s.Truncate(5); err != nil {
		t.Fatal(err)
	}
	want(303)
	if s.Need() != 0 {
		t.Errorf("the best %d candidates are said to do", s.Need())
	}
}
