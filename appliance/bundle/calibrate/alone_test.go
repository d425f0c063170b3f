package calibrate

import (
	"testing"

	"skerry/appliance/bundle"
)

// An exit speaks alone where calibration believes it at every confidence, and not where
// it was never measured or is only right when it is sure.
func TestSpeaksAlone(t *testing.T) {
	measured := func(agreement float64, tokens int) bundle.Head {
		return bundle.Head{Threshold: 0.85, Measured: []bundle.HeadMeasured{
			{Confidence: 0, Agreement: agreement, Tokens: tokens}, {Confidence: 0.9, Agreement: 0.99, Tokens: tokens / 2}}}
	}
	writes := func(perplexity, threshold float64) bundle.Head {
		h := measured(0.4, 6000)
		h.Threshold = threshold
		h.FreeText = &bundle.FreeText{Tokens: 600, Perplexity: perplexity, Distinct: 0.9, WholePerplexity: 1.5, WholeDistinct: 0.9}
		return h
	}
	for name, c := range map[string]struct {
		head bundle.Head
		want bool
	}{
		"never measured":         {bundle.Head{Kind: bundle.HeadModel}, false},
		"right when it is sure":  {measured(0.36, 6000), false},
		"right nine in ten":      {measured(0.9, 6000), true},
		"right, on a few tokens": {measured(0.95, 20), false},
		"writes sense":           {writes(2, 0.9), true},
		"writes noise":           {writes(200, 0.9), false},
		"never believed":         {writes(2, neverEnough), false},
	} {
		if got := SpeaksAlone(c.head); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
