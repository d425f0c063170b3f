package decode

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// imageToken is the row of an image, as engine numbers them.
const imageToken int32 = 1<<30 + 5

// What followed before is no draft where it is an image, which no text says.
func TestLookupLeavesImagesOut(t *testing.T) {
	tokens := []int32{1, 2, 3, 8, imageToken, imageToken + 1, 9, 1, 2, 3}
	ds := lookUpRun(tokens, 4)
	if len(ds) != 1 || ds[0].id != 8 {
		t.Errorf("%v", ds)
	}
	p, err := lookupDraft{}.propose(t.Context(), []int32{1, 2, 3, imageToken, 1, 2, 3})
	if err != nil || len(p.ids) != 0 {
		t.Errorf("%v %v", p.ids, err)
	}
	if ds := lookUpRun([]int32{2, imageToken, 5, 2, imageToken}, 4); len(ds) != 2 || ds[0].id != 5 { // it may be what is looked up
		t.Errorf("%v", ds)
	}
}

// The sampler is told of no row of an image: its penalties, which count by token, are those of
// the text alone, and a grammar is not asked about them.
func TestSamplerIgnoresImages(t *testing.T) {
	s := NewSession(Model{Vocab: fakeVocab(t), Context: 100}, 0, nil)
	logits := make([]float32, s.model.Vocab.Size())
	logits[7], logits[8], logits[9] = 3, 2.9, 2.5
	for _, set := range []infer.Sampling{
		{Repeat: 1.3, PenaltyLast: 2, Presence: 0.5}, {Filters: infer.Filters{DRYMultiplier: 0.8, DRYBase: 2, DRYAllowed: 1, DRYLast: -1}}, {EndFrom: math.MaxInt32}, {Temperature: 0.7, TopK: 5, Repeat: 1.1},
	} {
		sample := func(prompt ...int32) int32 {
			sampler, err := s.newSampler(t.Context(), prompt, Options{Sampling: set})
			if err != nil {
				t.Fatal(err)
			}
			defer sampler.Close()
			id, err := sampler.Sample(nil, logits, 20)
			if err != nil {
				t.Fatal(err)
			}
			if sampler.Len() != 3 {
				t.Errorf("the sampler has seen %d tokens", sampler.Len())
			}
			return id
		}
		if with, without := sample(7, 8, imageToken, imageToken+1, imageToken, 7), sample(7, 8, 7); with != without {
			t.Errorf("%+v: %d with an image, %d without", set, with, without)
		}
	}
}

// A draft model reads no images: in a conversation with one it is given up before it is asked,
// and the rest answers.
func TestDraftReadsNoImages(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, d := withDraft(board(answersIn(20 * time.Millisecond)))
		prompt := append(make([]int32, 20), imageToken, imageToken+1, 3)
		a, err := b.Generate(t.Context(), prompt, Options{Mode: Collaborative, OnLoss: infer.GoAlone, Thresholds: sureFrom, MaxTokens: 10, IgnoreEnd: true}, nil)
		if err != nil || !errors.Is(a.Draft, errDraftBlind) || len(a.Tokens) != 10 {
			t.Fatalf("%d tokens, given up for %v, %v", len(a.Tokens), a.Draft, err)
		}
		if slices.ContainsFunc(d.held, engine.IsImageToken) {
			t.Errorf("the draft model was given %v", d.held)
		}
	})
}
