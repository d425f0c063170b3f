package cross_test

import (
	"fmt"
	"math"
	"testing"
)

const (
	// nearTie is the margin below which tokens may differ, the best two logits
	// lying closer than what other sums move them by. Activations are rounded to 8
	// bits, so a last bit grows: over a text, logits of two variants differ by 0.2
	// in the mean square and margins of the same token by up to 0.5, be it armv8.0_1
	// and haswell, two for amd64, or batches of one and of several with armv8.2_2.
	nearTie = 0.5
	// floatApart is what margins of a model in float32 differ by at most.
	floatApart = 0.01
)

// comparison of two greedy answers to one prompt.
type comparison struct {
	tokens int     // compared, the first that differs included
	differ int     // where the first differs, -1 if none
	margin float64 // there, the smaller of the two
	apart  float64 // how far margins of equal tokens lie apart at most
}

func compare(a, b answer) comparison {
	c := comparison{differ: -1}
	for i := range min(len(a.Tokens), len(b.Tokens)) {
		c.tokens++
		x, y := a.Tokens[i], b.Tokens[i]
		if x.ID != y.ID {
			c.differ, c.margin = i, math.Min(x.Margin, y.Margin)
			return c
		}
		c.apart = math.Max(c.apart, math.Abs(x.Margin-y.Margin))
	}
	if len(a.Tokens) != len(b.Tokens) {
		c.differ, c.margin = c.tokens, math.Inf(1) // one ends where no token says so
	}
	return c
}

func (c comparison) String() string {
	if c.differ < 0 {
		return fmt.Sprintf("equal over %d, apart %.3f", c.tokens, c.apart)
	}
	return fmt.Sprintf("differs at %d, margin %.3f, apart %.3f", c.differ, c.margin, c.apart)
}

// within fails the test where a token differs that is no near-tie.
func (c comparison) within(t *testing.T, bound float64, what string) {
	t.Helper()
	if c.differ >= 0 && !(c.margin < bound) {
		t.Errorf("%s: token %d differs, with a margin of %g: no near-tie, which is below %g", what, c.differ, c.margin, bound)
	}
}
