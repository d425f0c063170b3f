package bundle

import (
	"errors"
	"fmt"
	"math"
)

// FreeText says how an exit or a draft writes when nobody corrects it: its own greedy
// continuations of some prompts, beside those of the whole model. Agreement, which is
// measured on the whole model's words, does not show that a text goes astray, or round in
// circles.
type FreeText struct {
	Prompts int `json:"prompts"`
	Tokens  int `json:"tokens"` // written in all
	// Perplexity of what was written, to the whole model, and Distinct the share of distinct
	// ones among the trigrams of its tokens.
	Perplexity float64 `json:"perplexity"`
	Distinct   float64 `json:"distinct_trigrams"`
	// The same of what the whole model wrote.
	WholePerplexity float64 `json:"whole_perplexity"`
	WholeDistinct   float64 `json:"whole_distinct_trigrams"`
	// Sample begins what was written to the first prompt.
	Sample string `json:"sample"`
}

// A text that is much less likely than the whole model's own is noise, and one that repeats
// itself much more is going round in circles. The fitted exits of SmolLM2-135M, which nobody
// would call speech, come to 4.7 and 6.2 times the whole model's perplexity, and to 0.59 and
// 0.79 times its distinct trigrams; its bare ones, in circles, to 1.6 and 3.7 times, and to
// 0.12 and 0.21.
const (
	mostPerplexity = 3   // times the whole model's
	leastDistinct  = 0.7 // times the whole model's
)

// Speaks says that what is written alone is worth reading.
func (f *FreeText) Speaks() bool {
	return f.Tokens > 0 && f.Perplexity <= mostPerplexity*f.WholePerplexity && f.Distinct >= leastDistinct*f.WholeDistinct
}

// Text is what was measured, as the rest of a sentence.
func (f *FreeText) Text() string {
	says := "what it writes alone makes sense"
	if !f.Speaks() {
		says = "what it writes alone makes no sense"
	}
	return fmt.Sprintf("%s (perplexity %.3g to the whole model, whose own text has %.3g; %.0f %% of its trigrams are distinct, of the whole model's %.0f %%)",
		says, f.Perplexity, f.WholePerplexity, 100*f.Distinct, 100*f.WholeDistinct)
}

func (f *FreeText) validate() error {
	if f == nil {
		return nil
	}
	for _, x := range []float64{f.Perplexity, f.WholePerplexity} {
		if math.IsNaN(x) || x < 0 {
			return errors.New("a perplexity is impossible")
		}
	}
	for _, x := range []float64{f.Distinct, f.WholeDistinct} {
		if math.IsNaN(x) || x < 0 || x > 1 {
			return errors.New("a share of distinct trigrams is impossible")
		}
	}
	return nil
}
