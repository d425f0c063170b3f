package policy

import "fmt"

// Confidence believes an exit from a confidence on: CE-CoLLM's rule, and the one for which
// thresholds are calibrated.
const Confidence = "confidence"

var _ = register(Rule{
	Name: Confidence, Help: "an exit is believed from a confidence on",
	New: func(thresholds []float64) (Policy, error) {
		if n := len(thresholds); n > 2 {
			return nil, fmt.Errorf("%d thresholds: give one, or one for each of two exits", n)
		}
		for _, t := range thresholds {
			if !(t >= 0) {
				return nil, fmt.Errorf("threshold %v: choose 0 (always believed) to 1; above 1 is never reached", t)
			}
		}
		return confidence(thresholds), nil
	},
})

// confidence has one threshold for all exits, or one for each; none for the exits' own.
type confidence []float64

func (c confidence) threshold(e Exit) float64 {
	switch len(c) {
	case 0:
		return e.Threshold
	case 1:
		return c[0]
	}
	return c[e.Index]
}

func (c confidence) Reachable(e Exit) bool { return c.threshold(e) <= 1 }

func (c confidence) Believes(e Exit, o Output) bool { return o.Confidence >= c.threshold(e) }
