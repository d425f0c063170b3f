package engine_test

import (
	"errors"
	"math"
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
	if banned.Allows(1) || !banned.Allows(2) {
		t.Error("a banned token is allowed, or another is not")
	}
	wanted := sampler(t, vocab(t), infer.Sampling{Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 5, Bias: 100}}}})
	if _, err := wanted.Sample([]int32{1, 2}, []float32{3, 4}, 0); !errors.Is(err, infer.ErrNoCandidate) {
		t.Errorf("a token that is wanted is none of the listed ones: %v", err)
	}
	if wanted.Allows(1) || !wanted.Allows(5) {
		t.Error("another token than the one that is wanted is believed")
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
