package infer

import (
	"fmt"
	"math"
)

// Filters are the rarer ways to change logits and to leave candidates out. All are off at
// their zero values. The order is llama.cpp's: bias, penalties, DRY, top_n_sigma, top_k,
// typical_p, top_p, min_p, XTC, temperature.
type Filters struct {
	// Bias is added to the logits of tokens.
	Bias []TokenBias `json:"logit_bias,omitempty"`
	// Typical keeps the most typical tokens up to this probability (Meister et al. 2022,
	// arXiv 2202.00666); 0 or 1: all.
	Typical float32 `json:"typical_p,omitempty"`
	// TopNSigma keeps the tokens whose logit is within so many standard deviations of the
	// greatest (Tang et al. 2024, arXiv 2411.07641); 0: all.
	TopNSigma float32 `json:"top_n_sigma,omitempty"`
	// XTCProbability is how often all but the least of the tokens that have at least the
	// probability XTCThreshold are left out; 0, or a threshold above 0.5: never.
	XTCProbability float32 `json:"xtc_probability,omitempty"`
	XTCThreshold   float32 `json:"xtc_threshold,omitempty"`
	// DRYMultiplier times DRYBase to the power of how much longer than DRYAllowed a
	// repetition would become is taken from the token that would go on with it. It looks at
	// the last DRYLast tokens (-1: all) up to one of DRYBreakers. 0: off.
	DRYMultiplier float32  `json:"dry_multiplier,omitempty"`
	DRYBase       float32  `json:"dry_base,omitempty"`
	DRYAllowed    int      `json:"dry_allowed_length,omitempty"`
	DRYLast       int      `json:"dry_penalty_last_n,omitempty"`
	DRYBreakers   []string `json:"dry_sequence_breakers,omitempty"`
	// DynatempRange has the temperature follow the entropy, within so much of Temperature
	// (Zhu et al. 2023, arXiv 2309.02772); 0: off. DynatempExponent bends the curve.
	DynatempRange    float32 `json:"dynatemp_range,omitempty"`
	DynatempExponent float32 `json:"dynatemp_exponent,omitempty"`
	// MinKeep is how many candidates typical_p, top_p, min_p and XTC leave at least.
	MinKeep int `json:"min_keep,omitempty"`
}

// TokenBias is added to a token's logit.
type TokenBias struct {
	ID   int32   `json:"id"`
	Bias float32 `json:"bias"`
}

// Banned is a bias after which a token is not sampled. It is finite, so that JSON has it.
const Banned = -1e9

// Limits of Filters.
const (
	MaxBias     = 1024 // tokens
	maxBreakers = 16
	maxBreaker  = 40 // bytes: llama.cpp looks at no more
)

// check returns what is wrong with the filters.
func (f Filters) check() error {
	for _, v := range []struct {
		name       string
		value      float32
		least, top float64
	}{
		{"typical_p", f.Typical, 0, 1}, {"top_n_sigma", f.TopNSigma, 0, 1e6}, {"xtc_probability", f.XTCProbability, 0, 1}, {"xtc_threshold", f.XTCThreshold, 0, 1},
		{"dry_multiplier", f.DRYMultiplier, 0, 1e6}, {"dry_base", f.DRYBase, 0, 1e6}, {"dynatemp_range", f.DynatempRange, 0, 100}, {"dynatemp_exponent", f.DynatempExponent, 0, 100},
	} {
		if x := float64(v.value); !(x >= v.least && x <= v.top) {
			return fmt.Errorf("%s is %v: choose %v to %v", v.name, v.value, v.least, v.top)
		}
	}
	switch {
	case len(f.Bias) > MaxBias:
		return fmt.Errorf("logit_bias is of %d tokens: give at most %d", len(f.Bias), MaxBias)
	case len(f.DRYBreakers) > maxBreakers:
		return fmt.Errorf("dry_sequence_breakers has %d strings: give at most %d", len(f.DRYBreakers), maxBreakers)
	case f.DRYAllowed < 0 || f.DRYAllowed > 1<<16:
		return fmt.Errorf("dry_allowed_length is %d: choose 0 to 65536", f.DRYAllowed)
	case f.DRYLast < -1 || f.DRYLast > 1<<20:
		return fmt.Errorf("dry_penalty_last_n is %d: choose -1 (all) or more", f.DRYLast)
	case f.MinKeep < 0 || f.MinKeep > 1<<20:
		return fmt.Errorf("min_keep is %d: choose 0 or more", f.MinKeep)
	}
	for _, b := range f.Bias {
		if math.IsNaN(float64(b.Bias)) || math.IsInf(float64(b.Bias), 0) {
			return fmt.Errorf("logit_bias of token %d must be a finite number", b.ID)
		}
	}
	for _, s := range f.DRYBreakers {
		if s == "" || len(s) > maxBreaker {
			return fmt.Errorf("a string of dry_sequence_breakers must have 1 to %d bytes", maxBreaker)
		}
	}
	return nil
}
