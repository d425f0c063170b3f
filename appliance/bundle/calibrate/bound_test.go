package calibrate

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// population draws documents whose exits are about as right as they are sure, some documents
// being harder than others.
func population(r *rand.Rand, n int) []verdicts {
	docs := make([]verdicts, n)
	for i := range docs {
		hard := 0.3 * r.Float64() * r.Float64() // of this document's tokens the exits overrate themselves by
		for range 2 {
			exit := make([]word, 60)
			for j := range exit {
				c := 1 - 0.8*r.Float64()*r.Float64()
				exit[j] = word{c, r.Float64() < c-hard}
			}
			docs[i] = append(docs[i], exit)
		}
	}
	return docs
}

func meanLoss(docs []verdicts, threshold float64) float64 {
	sum := 0.0
	for _, d := range docs {
		sum += d.loss(threshold)
	}
	return sum / float64(len(docs))
}

// Of a hundred choices of documents, at least ninety give a threshold whose disagreement on
// all of them is within the bound, and the threshold is of use.
func TestBoundHoldsOnOtherDocuments(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	all := population(r, 2000)
	for _, c := range []struct {
		most float64
		docs int
	}{{0.05, 150}, {0.1, 150}, {0.2, 80}} {
		within, useful := 0, 0
		for range 100 {
			var some []verdicts
			for _, k := range r.Perm(len(all))[:c.docs] {
				some = append(some, all[k])
			}
			threshold, err := boundDisagreement(some, c.most, r.Uint64())
			if err != nil {
				t.Fatal(err)
			}
			if meanLoss(all, threshold) <= c.most {
				within++
			}
			if meanLoss(all, threshold) > c.most/4 {
				useful++
			}
		}
		if within < 90 || useful < 80 {
			t.Errorf("at most %g from %d documents: %d of 100 within, %d not much too strict", c.most, c.docs, within, useful)
		}
	}
}

func TestBoundNeedsDocuments(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	_, err := boundDisagreement(population(r, 20), 0.02, 1)
	if !errors.Is(err, ErrTooFew) || !strings.Contains(err.Error(), "at least 165 documents") || !strings.Contains(err.Error(), "there are 20") {
		t.Errorf("%v", err)
	}
	// As many as it says are enough where nothing is wrong, and one fewer is not.
	for _, most := range []float64{0.01, 0.02, 0.3} {
		n := documentsFor(most)
		if p := meanExceeds(make([]float64, n), most); p > 1-promise {
			t.Errorf("%d documents without loss give p = %g for %g", n, p, most)
		}
		if p := meanExceeds(make([]float64, n-1), most); p <= 1-promise {
			t.Errorf("%d documents without loss give p = %g for %g", n-1, p, most)
		}
	}
	// Exits that are always wrong are never believed.
	wrong := make([]verdicts, 300)
	for i := range wrong {
		wrong[i] = verdicts{{{1, false}, {1, false}}}
	}
	if got, err := boundDisagreement(wrong, 0.02, 1); err != nil || got != neverEnough {
		t.Errorf("threshold %g: %v", got, err)
	}
}

// A promise holds for at least ninety of a hundred choices of documents out of a population of
// which all is known.
func TestBoundIsHeldByResampledDocuments(t *testing.T) {
	docs := population(rand.New(rand.NewPCG(13, 13)), 150)
	if n := held(docs, 0.1, 1); n < 90 {
		t.Errorf("%d of %d within", n, resamplings)
	}
	if n := held(docs, 0.01, 1); n != resamplings { // so few documents promise nothing, which is always kept
		t.Errorf("of too few documents: %d of %d within", n, resamplings)
	}
}

// The losses at all thresholds are those at each.
func TestLossesOfEveryThreshold(t *testing.T) {
	docs := append(population(rand.New(rand.NewPCG(14, 14)), 5), nil, verdicts{{}, {}},
		verdicts{{{0.5, false}, {0.995, false}, {1, true}, {0, false}}, {{0.25, false}, {1, false}, {0.1, false}, {0.005, false}}})
	for i, all := range lossesOf(docs) {
		for level := 1; level < levels; level++ {
			if want := docs[i].loss(float64(level) / levels); all[level] != want {
				t.Fatalf("document %d from level %d on: %g, not %g", i, level, all[level], want)
			}
		}
	}
}

// The first exit that is sure enough speaks for a position.
func TestLoss(t *testing.T) {
	v := verdicts{
		{{0.9, true}, {0.5, false}, {0.95, false}, {0.1, true}},
		{{0.99, false}, {0.9, false}, {0.99, true}, {0.2, false}},
	}
	for threshold, want := range map[float64]float64{0.8: 2. / 4, 0.97: 1. / 4, 1: 0, 0: 2. / 4} {
		if got := v.loss(threshold); got != want {
			t.Errorf("from %g on the loss is %g, not %g", threshold, got, want)
		}
	}
}
