package predict

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Limits of a choice, beside what a case makes impossible.
type Limits struct {
	// Wrong is the share of tokens that may be other than the whole model's, as the user
	// has set it. With 0 only what is exact competes by time.
	Wrong float64
	// Token is the longest that a further token may take in the mean, in seconds; 0 for any.
	Token float64
	// Bytes that may go up for a token, 0 for any: what is left of a budget over what is
	// still to be said.
	Bytes float64
	// Spared has the board compute as little as it can, since it is hot: modes that leave
	// every token to the cloud come before those in which the board computes.
	Spared bool
}

// Choice among predictions.
type Choice struct {
	Best, Second string  // modes; Second is "" where there is no other
	Why          string  // of the best, in a half-sentence
	Total        float64 // of an answer in the best mode, in seconds
	SecondTotal  float64
	Predictions  []Prediction // all that were chosen among
}

// Chooser keeps to a mode until another is predicted to be clearly faster. It is not safe for
// concurrent use.
type Chooser struct {
	// Dwell is how long a mode is kept at least, unless it cannot be had any more; default
	// 5 seconds.
	Dwell time.Duration
	// Margin is the share of the time that another mode must save; default a tenth.
	Margin float64

	mode string
	at   time.Time // of the last change
}

// Choose takes the mode in which an answer of so many tokens takes the least time, as of
// now. Of modes that are within Limits.Wrong the faster wins; where there is none, the one
// that is right most often. A limit that no mode keeps to is let go, first that of bytes, then
// that of a token's time. The mode that was chosen before is kept during Dwell and as long as
// no other saves Margin, unless it cannot be had or breaks a limit that another keeps.
//
// It changes at most once in Dwell, but for a mode that cannot be had any more, which is left
// at once and not returned to before Dwell has passed.
func (c *Chooser) Choose(now time.Time, predictions []Prediction, tokens int, l Limits) Choice {
	fit := fitting(predictions, tokens, l)
	if len(fit) == 0 {
		c.mode, c.at = "", now
		return Choice{Why: "no mode can be had", Predictions: predictions}
	}
	best := fit[0]
	why := "it is predicted to take the least time"
	if best.Right < 1-l.Wrong {
		why = "nothing that says what the whole model would say can be had"
	} else if l.Spared && best.onCloud() {
		why = "the board is hot, and this leaves it the least to compute"
	}
	if i := slices.IndexFunc(fit, func(p Prediction) bool { return p.Mode == c.mode }); i > 0 {
		held := fit[i]
		switch {
		case now.Sub(c.at) < cmp.Or(c.Dwell, 5*time.Second):
			best, why = held, fmt.Sprintf("it was chosen less than %s ago", cmp.Or(c.Dwell, 5*time.Second))
		case l.Spared && held.onCloud() != best.onCloud(): // heat decides, not time
		case held.Total(tokens)*(1-cmp.Or(c.Margin, .1)) < best.Total(tokens):
			best, why = held, fmt.Sprintf("%s is not predicted to be clearly faster", best.Mode)
		}
	}
	if best.Mode != c.mode {
		c.mode, c.at = best.Mode, now
	}
	choice := Choice{Best: best.Mode, Why: why, Total: best.Total(tokens), Predictions: predictions}
	for _, p := range fit {
		if p.Mode != best.Mode {
			choice.Second, choice.SecondTotal = p.Mode, p.Total(tokens)
			break
		}
	}
	return choice
}

// onCloud reports whether the board computes nothing for a token.
func (p Prediction) onCloud() bool {
	return p.Mode == CloudOnly || p.Mode == CloudLed
}

// fitting are the modes that may be chosen, the best first.
func fitting(predictions []Prediction, tokens int, l Limits) []Prediction {
	fit := slices.DeleteFunc(slices.Clone(predictions), func(p Prediction) bool { return p.Not != "" })
	keep := func(within func(Prediction) bool) {
		if some := slices.DeleteFunc(slices.Clone(fit), func(p Prediction) bool { return !within(p) }); len(some) > 0 {
			fit = some
		}
	}
	if l.Token > 0 {
		keep(func(p Prediction) bool { return p.Token <= l.Token })
	}
	if l.Bytes > 0 {
		keep(func(p Prediction) bool { return p.Bytes <= l.Bytes })
	}
	right := 0.0 // as far as anything is, and as far as is wanted
	for _, p := range fit {
		right = max(right, min(p.Right, 1-l.Wrong))
	}
	keep(func(p Prediction) bool { return p.Right >= right-1e-9 })
	slices.SortStableFunc(fit, func(a, b Prediction) int {
		if l.Spared && a.onCloud() != b.onCloud() {
			if a.onCloud() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Total(tokens), b.Total(tokens))
	})
	return fit
}
