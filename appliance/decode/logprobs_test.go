package decode

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

func TestLogprobs(t *testing.T) {
	logits := []float32{1, 3, 2, 3, -1}
	lse := engine.Describe(logits).LogSumExp
	of, top := logprobs(nil, logits, lse, 2, 3)
	if math.Abs(of-(2-lse)) > 1e-9 || !reflect.DeepEqual(top, []infer.Logprob{{ID: 1, Logprob: 3 - lse}, {ID: 3, Logprob: 3 - lse}, {ID: 2, Logprob: 2 - lse}}) {
		t.Errorf("%v, %v", of, top)
	}
	sum := 0.0
	if _, top = logprobs([]int32{50, 40, 30, 20, 10}, logits, lse, 10, 20); len(top) != 5 || top[0].ID != 20 || top[4].ID != 10 {
		t.Errorf("of a shortlist %v", top)
	}
	for _, c := range top {
		sum += math.Exp(c.Logprob)
	}
	if math.Abs(sum-1) > 1e-6 {
		t.Errorf("probabilities sum to %v", sum)
	}
	if of, top = logprobs(nil, logits, lse, 4, 0); of != -1-lse || len(top) != 0 {
		t.Errorf("%v, %v", of, top)
	}
}

// The cloud's best few carry the probabilities of its whole row.
func TestLogprobsOfCloudAndBoard(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(&fakeCloud{answer: func(n int) (time.Duration, int32, error) { return 0, cloudSays, nil }})
		a, err := b.generate(t, context.Background(), 3, Options{MaxTokens: 2, Logprobs: true, TopLogprobs: 5})
		if err != nil {
			t.Fatal(err)
		}
		tok := a.Tokens[0]
		if tok.Source != infer.FromCloud || math.Abs(tok.Logprob-(2-2.5)) > 1e-9 || !reflect.DeepEqual(tok.Top, []infer.Logprob{{ID: cloudSays, Logprob: -0.5}, {ID: 302, Logprob: -1.5}}) {
			t.Errorf("%+v", tok)
		}
		b = board(nil)
		a, err = b.Generate(context.Background(), make([]int32, 3), Options{Mode: Standalone, OnLoss: infer.GoAlone, MaxTokens: 2, IgnoreEnd: true, Logprobs: true, TopLogprobs: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := -math.Log(1 + math.Exp(-0.1))
		if tok = a.Tokens[1]; math.Abs(tok.Logprob-want) > 1e-6 || len(tok.Top) != 1 || tok.Top[0].ID != boardSays {
			t.Errorf("%+v, want %v", tok, want)
		}
	})
	if err := (Options{Mode: Standalone, OnLoss: infer.GoAlone, TopLogprobs: 21}).Check(); err == nil {
		t.Error("21 are allowed")
	}
}

// Progress of the prompt, and of the prompt alone.
func TestPrefillProgress(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(nil)
		var done []int
		o := Options{Mode: Standalone, OnLoss: infer.GoAlone, MaxTokens: 5, IgnoreEnd: true, Prefill: func(n, total int) {
			if done = append(done, n); total != 150 {
				t.Errorf("of %d", total)
			}
		}}
		if _, err := b.Generate(context.Background(), make([]int32, 150), o, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(done, []int{0, 64, 128, 150}) {
			t.Errorf("%v", done)
		}
	})
}
