package calibrate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"skerry/appliance/bundle"
)

// word is what an exit said on a position: how sure it was, and whether it was the whole
// model's greedy token.
type word struct {
	confidence float64
	right      bool
}

// verdicts are one document's words, [exits][positions].
type verdicts [][]word

// ErrTooFew is wrapped by the error of a bound that the report texts are too few for.
var ErrTooFew = errors.New("too few documents to promise that")

// promise is the confidence with which a bound on the disagreement holds.
const promise = 0.95

// levels are the thresholds that are tried, the strictest first.
const levels = 200

// boundDisagreement finds the lowest confidence from which exits may be believed such that,
// with a probability of promise over the choice of documents, the tokens that exits then say
// and the whole model would not are at most the share most of a document's tokens, in the
// mean over documents like these. It is Learn-then-Test (Angelopoulos et al., arXiv
// 2110.01052) with fixed-sequence testing from the strictest threshold on; the documents,
// not their tokens, are what is independent. It returns neverEnough where not even the
// strictest can be promised, and an error that wraps ErrTooFew where no exit could be good
// enough for so few documents.
func boundDisagreement(docs []verdicts, most float64, seed uint64) (threshold float64, err error) {
	if need := documentsFor(most); len(docs) < need {
		return 0, fmt.Errorf("%w: a disagreement of at most %g takes at least %d documents to measure on, there are %d: give more text with --report, or allow more", ErrTooFew, most, need, len(docs))
	}
	return firmest(lossesOf(docs), rand.New(rand.NewPCG(seed, 6)).Perm(len(docs)), most), nil
}

// lossesOf are the documents' losses at every threshold, [documents][levels].
func lossesOf(docs []verdicts) [][levels]float64 {
	out := make([][levels]float64, len(docs))
	for i, d := range docs {
		if len(d) == 0 || len(d[0]) == 0 {
			continue
		}
		wrong := make([]int, levels+1) // more than at the level above
		for at := range d[0] {
			spoken := 0 // the levels up to this one are those of an exit before
			for _, exit := range d {
				if most := levelOf(exit[at].confidence); most > spoken {
					if !exit[at].right {
						wrong[most]++
						wrong[spoken]--
					}
					spoken = most
				}
			}
		}
		sum := 0
		for level := levels - 1; level >= 1; level-- {
			sum += wrong[level]
			out[i][level] = ratio(sum, len(d[0]))
		}
	}
	return out
}

// levelOf is the highest threshold that a confidence reaches, 0 for none.
func levelOf(confidence float64) int {
	level := max(0, min(levels-1, int(confidence*levels)+1))
	for level > 0 && confidence < float64(level)/levels {
		level--
	}
	return level
}

// firmest is the lowest threshold that can be promised by the losses of the documents that some
// name, in their order.
func firmest(losses [][levels]float64, some []int, most float64) float64 {
	threshold, at := neverEnough, make([]float64, len(some))
	for level := levels - 1; level >= 1; level-- {
		for i, k := range some {
			at[i] = losses[k][level]
		}
		if meanExceeds(at, most) > 1-promise {
			break
		}
		threshold = float64(level) / levels
	}
	return threshold
}

// resamplings are how often the promise is put to the test.
const resamplings = 100

// held draws as many documents as there are from them, with replacement, finds the threshold
// that those would have given, and counts how often it keeps to the bound on all documents:
// these are then all that there is, so that it is known.
func held(docs []verdicts, most float64, seed uint64) (within int) {
	losses, r, some := lossesOf(docs), rand.New(rand.NewPCG(seed, 7)), make([]int, len(docs))
	for range resamplings {
		for i := range some {
			some[i] = r.IntN(len(docs))
		}
		sum := 0.0
		if threshold := firmest(losses, some, most); threshold <= 1 {
			for _, l := range losses {
				sum += l[levelOf(threshold)]
			}
		}
		if sum <= most*float64(len(docs)) {
			within++
		}
	}
	return within
}

// enoughToPromise says early that the report texts are too few for the bound that is wanted.
func (r *run) enoughToPromise(reports []text) error {
	if r.opt.MaxDisagreement == 0 {
		return nil
	}
	docs := len(reportForms) * len(reportTopics)
	for _, t := range reports {
		docs += len(t.docs)
	}
	_, err := boundDisagreement(make([]verdicts, docs), r.opt.MaxDisagreement, 0)
	return err
}

// said is what the exits said, by document. Own has it by depth.
func (r *run) said(own []*judged) (docs []verdicts) {
	var exits []*judged
	for _, e := range r.b.Manifest.Exits {
		exits = append(exits, own[slices.Index(r.depths, e)])
	}
	for _, text := range slices.Sorted(maps.Keys(exits[0].words)) {
		var v verdicts
		for _, j := range exits {
			v = append(v, j.words[text])
		}
		docs = append(docs, v)
	}
	return docs
}

// bound finds the confidence from which those who said the words of the documents are
// believed if their disagreement is to be bounded; nil where it is not to be.
func (r *run) bound(docs []verdicts) (*bundle.DisagreementBound, error) {
	if r.opt.MaxDisagreement == 0 {
		return nil, nil
	}
	threshold, err := boundDisagreement(docs, r.opt.MaxDisagreement, r.opt.Seed)
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, d := range docs {
		sum += d.loss(threshold)
	}
	return &bundle.DisagreementBound{Most: r.opt.MaxDisagreement, Probability: promise, Documents: len(docs),
		Threshold: threshold, Measured: sum / float64(len(docs)),
		Held: held(docs, r.opt.MaxDisagreement, r.opt.Seed), Resampled: resamplings}, nil
}

// loss is the share of positions where the first exit that reaches the threshold is wrong.
func (v verdicts) loss(threshold float64) float64 {
	if len(v) == 0 || len(v[0]) == 0 {
		return 0
	}
	wrong := 0
	for i := range v[0] {
		for _, exit := range v {
			if exit[i].confidence >= threshold {
				if !exit[i].right {
					wrong++
				}
				break
			}
		}
	}
	return ratio(wrong, len(v[0]))
}

// stake is the largest share of the wealth that is put on one document.
const stake = 0.9

// meanExceeds is a p-value of the hypothesis that losses in [0,1] have a mean above most:
// one over the most that a bet against it was worth (Waudby-Smith and Ramdas, arXiv
// 2010.09686, theorem 3), each bet sized by what the losses before it varied.
func meanExceeds(losses []float64, most float64) float64 {
	wealth, best := 0.0, 0.0 // logarithms
	sum, square := 0.5*most, 0.25*most
	for i, l := range losses {
		variance := max(square/float64(i+1), 1e-9)
		bet := math.Sqrt(2 * math.Log(1/(1-promise)) / (float64(len(losses)) * variance))
		bet = min(bet, stake/(1-most))
		wealth += math.Log1p(bet * (most - l))
		best = max(best, wealth)
		sum += l
		mean := sum / float64(i+2)
		square += (l - mean) * (l - mean)
	}
	return math.Exp(-best)
}

// documentsFor is how many documents without any loss it takes to promise a mean of at most
// most.
func documentsFor(most float64) int {
	return int(math.Ceil(math.Log(1/(1-promise)) / math.Log1p(stake*most/(1-most))))
}
