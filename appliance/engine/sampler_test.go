package engine_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

func vocab(t *testing.T) *engine.Vocab {
	t.Helper()
	v, err := engine.OpenVocab(enginetest.Tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func sampler(t *testing.T, v *engine.Vocab, o infer.Sampling) *engine.Sampler {
	t.Helper()
	s, err := engine.NewSampler(t.Context(), v, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func randomLogits(n int, r *rand.Rand) []float32 {
	l := make([]float32, n)
	for i := range l {
		l[i] = float32(3 * r.NormFloat64())
	}
	return l
}

func TestGreedy(t *testing.T) {
	s := sampler(t, vocab(t), infer.Sampling{})
	if id, err := s.Sample(nil, []float32{1, 5, 5, 2}, 0); err != nil || id != 1 {
		t.Errorf("token %d, %v: of equal logits the lower id wins", id, err)
	}
	if id, _ := s.Sample([]int32{9, 4, 7}, []float32{5, 5, 1}, 0); id != 4 {
		t.Errorf("token %d of listed candidates", id)
	}
	if _, err := s.Sample(nil, nil, 0); err == nil {
		t.Error("no logits, no error")
	}
	if _, err := s.Sample([]int32{1}, []float32{1, 2}, 0); err == nil {
		t.Error("ids and logits of different lengths, no error")
	}
}

// The Gumbel-max draws from the softmax: frequencies over positions match it.
func TestSamplesFollowTheSoftmax(t *testing.T) {
	s := sampler(t, vocab(t), infer.Sampling{Temperature: 0.7, Seed: 11})
	logits := []float32{2, 1, 0, -1}
	var p [4]float64
	sum := 0.0
	for i, l := range logits {
		p[i] = math.Exp(float64(l) / 0.7)
		sum += p[i]
	}
	const n = 40000
	var got [4]int
	for pos := range n {
		id, err := s.Sample(nil, logits, pos)
		if err != nil {
			t.Fatal(err)
		}
		got[id]++
	}
	for i := range p {
		want := p[i] / sum * n
		if d := math.Abs(float64(got[i]) - want); d > 5*math.Sqrt(want) {
			t.Errorf("token %d came %d times, expected %.0f", i, got[i], want)
		}
	}
}

func TestSameSeedSameToken(t *testing.T) {
	v := vocab(t)
	a, b := sampler(t, v, infer.Sampling{Temperature: 1, Seed: 5}), sampler(t, v, infer.Sampling{Temperature: 1, Seed: 5})
	c := sampler(t, v, infer.Sampling{Temperature: 1, Seed: 6})
	r := rand.New(rand.NewPCG(1, 1))
	differ := 0
	for pos := range 200 {
		l := randomLogits(512, r)
		x, _ := a.Sample(nil, l, pos)
		b.Sample(nil, l, pos) // asked twice, as after a lost answer
		y, _ := b.Sample(nil, l, pos)
		z, _ := c.Sample(nil, l, pos)
		if x != y {
			t.Fatalf("position %d: %d and %d under one seed", pos, x, y)
		}
		if x != z {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("another seed gave another token at %d of 200 positions", differ)
	}
}

// The best Need candidates give the token that the whole row gives.
func TestNeedIsEnough(t *testing.T) {
	v := vocab(t)
	r := rand.New(rand.NewPCG(2, 2))
	for _, o := range []infer.Sampling{
		{},
		{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Seed: 3},
		{Temperature: 1.5, TopK: 10, Seed: 3, Repeat: 1.3, PenaltyLast: 20},
		{Repeat: 1.5, Frequency: 0.5, Presence: 0.5, PenaltyLast: 30},
		{Temperature: 1, TopK: 30, Seed: 4, Filters: infer.Filters{Typical: 0.8, MinKeep: 3, DynatempRange: 0.5}},
		{Temperature: 1, TopK: 20, Seed: 4, Filters: infer.Filters{XTCProbability: 0.5, XTCThreshold: 0.1}},
		{Temperature: 1, TopK: 20, Seed: 4, EndFrom: 400, Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 7, Bias: infer.Banned}, {ID: 9, Bias: -2}}}},
	} {
		whole, part := sampler(t, v, o), sampler(t, v, o)
		need := part.Need()
		if need == 0 || need > 150 {
			t.Fatalf("%+v needs %d", o, need)
		}
		for pos := range 600 {
			l := randomLogits(512, r)
			if pos >= 300 { // with equal logits everywhere, at the edges of the filters too
				for i := range l {
					l[i] = float32(math.Round(float64(l[i])))
				}
			}
			ids := make([]int32, len(l))
			for i := range ids {
				ids[i] = int32(i)
			}
			slices.SortFunc(ids, func(a, b int32) int {
				if l[a] != l[b] {
					return map[bool]int{true: -1, false: 1}[l[a] > l[b]]
				}
				return int(a - b)
			})
			top := make([]float32, need)
			for i := range top {
				top[i] = l[ids[i]]
			}
			x, err := whole.Sample(nil, l, pos)
			y, err2 := part.Sample(ids[:need], top, pos)
			if err != nil || err2 != nil || x != y {
				t.Fatalf("%+v position %d: %d (%v) of the row, %d (%v) of its best %d", o, pos, x, err, y, err2, need)
			}
			whole.Accept(x)
			part.Accept(y)
		}
	}
	for _, o := range []infer.Sampling{{Temperature: 1}, {Repeat: 0.5}, {Frequency: -1}, {Grammar: `root ::= "a"`}} {
		if n := sampler(t, v, o).Need(); n != 0 {
			t.Errorf("%+v needs %d, not the whole row", o, n)
		}
	}
}

// Tokens that a bias or the position takes out of the top leave room for as many below it.
func TestNeedCountsWhatIsRuledOut(t *testing.T) {
	v := vocab(t)
	end := int32(0)
	for !v.End(end) {
		end++
	}
	for _, o := range []infer.Sampling{
		{Temperature: 2, TopK: 3, Seed: 5, Filters: infer.Filters{Bias: []infer.TokenBias{{ID: 100, Bias: infer.Banned}, {ID: 101, Bias: -50}}}},
		{Temperature: 2, TopK: 3, Seed: 5, EndFrom: 1000},
	} {
		logits := make([]float32, v.Size())
		order := []int32{end, 100, 101}
		for id := range int32(200) {
			if id != end && id != 100 && id != 101 {
				order = append(order, id)
			}
		}
		for i, id := range order {
			logits[id] = 10 - 0.01*float32(i)
		}
		s := sampler(t, v, o)
		need := s.Need()
		top := make([]float32, need)
		for i, id := range order[:need] {
			top[i] = logits[id]
		}
		for pos := range 200 {
			x, err := s.Sample(nil, logits, pos)
			y, err2 := s.Sample(order[:need], top, pos)
			if err != nil || err2 != nil || x != y {
				t.Fatalf("%+v position %d: %d (%v) of the row, %d (%v) of its best %d", o, pos, x, err, y, err2, need)
			}
		}
	}
}

func TestTruncateTakesPenaltiesBack(t *testing.T) {
	s := sampler(t, vocab(t), infer.Sampling{Repeat: 2, PenaltyLast: 8})
	l := []float32{3, 2, 1}
	for _, want := range []int32{0, 1} {
		id, err := s.Sample(nil, l, 0)
		if err != nil || id != want {
			t.Fatalf("token %d, %v, expected %d", id, err, want)
		}
		s.Accept(id)
	}
	if err := s.Truncate(0); err != nil || s.Len() != 0 {
		t.Fatal(err)
	}
	if id, _ := s.Sample(nil, l, 0); id != 0 {
		t.Errorf("token %d after truncation", id)
	}
	if s.Truncate(1) == nil || s.Truncate(-1) == nil {
		t.Error("truncation beyond the history, no error")
	}
}

func TestGrammar(t *testing.T) {
	b := enginetest.Bundle(t)
	v, err := engine.OpenVocab(b.Path(bundle.Board1))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s := sampler(t, v, infer.Sampling{Grammar: `root ::= "yes" | "no"`})
	r := rand.New(rand.NewPCG(9, 9))
	for range 3 {
		text := ""
		for pos := 0; ; pos++ {
			id, err := s.Sample(nil, randomLogits(v.Size(), r), pos)
			if err != nil {
				t.Fatal(err)
			}
			if v.End(id) {
				break
			}
			text += string(v.Piece(id, false))
			if err := s.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
		if text != "yes" && text != "no" {
			t.Fatalf("the grammar let %q through", text)
		}
		if err := s.Truncate(0); err != nil {
			t.Fatal(err)
		}
	}
	ids, _ := v.Tokenize("maybe", false, false)
	if err := s.Accept(ids[0]); !errors.Is(err, infer.ErrNoCandidate) {
		t.Errorf("accepting what the grammar forbids: %v", err)
	}
	if _, err := s.Sample(ids[:1], []float32{1}, 0); !errors.Is(err, infer.ErrNoCandidate) {
		t.Errorf("candidates that the grammar forbids: %v", err)
	}
	if _, err := engine.NewSampler(t.Context(), v, infer.Sampling{Grammar: "root ::= ("}); err == nil {
		t.Error("broken grammar, no error")
	}
}

func TestBadSampling(t *testing.T) {
	nan := float32(math.NaN())
	for _, o := range []infer.Sampling{{Temperature: -1}, {Temperature: nan}, {TopK: -1}, {TopP: 2}, {MinP: -0.1}, {Repeat: -1}, {Frequency: nan}, {PenaltyLast: -1}} {
		if o.Check() == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestDescribe(t *testing.T) {
	d := engine.Describe([]float32{1, 3, 2, -1000})
	z := math.Exp(1) + math.Exp(3) + math.Exp(2)
	if math.Abs(d.Confidence-math.Exp(3)/z) > 1e-12 || math.Abs(d.Margin-1) > 1e-12 || math.Abs(d.LogSumExp-math.Log(z)) > 1e-12 {
		t.Errorf("%+v", d)
	}
}

func TestTokenizerRoundTrip(t *testing.T) {
	b := enginetest.Bundle(t)
	v, err := engine.OpenVocab(b.Path(bundle.Board1))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, text := range []string{"", "Hello, world", "naïve café — 東京 🏝️", "<|im_end|> is only text here", "a\x00b", "\xff\xfe"} {
		ids, err := v.Tokenize(text, false, false)
		if err != nil {
			t.Fatal(err)
		}
		var back []byte
		for _, id := range ids {
			if v.End(id) {
				t.Errorf("%q holds a control token", text)
			}
			back = append(back, v.Piece(id, true)...)
		}
		if text == "\xff\xfe" { // not UTF-8: what the tokenizer makes of it is its own affair
			continue
		}
		if string(back) != text {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	chat, err := v.Chat([]infer.Message{{Role: "user", Content: "Hi"}})
	if err != nil || chat != "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("chat %q, %v", chat, err)
	}
	if ids, _ := v.Tokenize(chat, true, true); len(ids) == 0 || !v.End(ids[slices.IndexFunc(ids, v.End)]) {
		t.Error("the template's control tokens were not recognized")
	}
	if _, err := v.Chat([]infer.Message{{Role: "user", Content: "a\x00b"}}); err == nil {
		t.Error("a NUL byte in a message, no error")
	}
	if v.Piece(-1, false) != nil || v.Piece(1<<30, false) != nil || v.End(-1) {
		t.Error("ids outside the vocabulary")
	}
}
