package infer

import (
	"errors"
	"fmt"
	"math"
	"reflect"
)

// Sampling is how a token is chosen from logits. The zero value is greedy.
type Sampling struct {
	Seed        uint64  `json:"seed"`
	Temperature float32 `json:"temperature"` // 0: the most likely token
	TopK        int     `json:"top_k"`       // 0: all
	TopP        float32 `json:"top_p"`       // 0 or 1: all
	MinP        float32 `json:"min_p"`       // 0: all
	// Penalties over the last PenaltyLast tokens (default 64 where any is set):
	// Repeat divides (1 or 0: off), Frequency and Presence subtract.
	PenaltyLast int     `json:"penalty_last_n,omitempty"`
	Repeat      float32 `json:"repeat_penalty,omitempty"`
	Frequency   float32 `json:"frequency_penalty,omitempty"`
	Presence    float32 `json:"presence_penalty,omitempty"`
	Filters
	// EndFrom is the position from which on the token that ends the answer may be sampled;
	// 0: everywhere.
	EndFrom int `json:"end_from,omitempty"`
	// Grammar in GBNF, with rule root; empty for none.
	Grammar string `json:"grammar,omitempty"`
}

// Check returns what is wrong with the settings, also with those that a temperature of
// 0 leaves without effect.
func (o Sampling) Check() error {
	finite := func(f float32) bool { return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) }
	switch {
	case !finite(o.Temperature) || o.Temperature < 0:
		return fmt.Errorf("temperature is %v: choose 0 (greedy) or more", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("top_k is %d: choose 0 (all) or more", o.TopK)
	case !finite(o.TopP) || o.TopP < 0 || o.TopP > 1:
		return fmt.Errorf("top_p is %v: choose 0 to 1", o.TopP)
	case !finite(o.MinP) || o.MinP < 0 || o.MinP > 1:
		return fmt.Errorf("min_p is %v: choose 0 to 1", o.MinP)
	case !finite(o.Repeat) || o.Repeat < 0:
		return fmt.Errorf("repeat_penalty is %v: choose 1 (off) or more", o.Repeat)
	case !finite(o.Frequency) || !finite(o.Presence):
		return fmt.Errorf("frequency and presence penalties must be finite")
	case o.EndFrom < 0:
		return fmt.Errorf("end_from is %d: choose 0 or more", o.EndFrom)
	case o.PenaltyLast < 0 || o.PenaltyLast > 1<<16:
		return fmt.Errorf("penalty_last_n is %d: choose 0 to 65536", o.PenaltyLast)
	}
	return o.Filters.check()
}

// IsZero says whether the settings are those of greedy sampling without anything else.
func (o Sampling) IsZero() bool { return reflect.ValueOf(o).IsZero() }

// Penalized says whether any penalty is in force.
func (o Sampling) Penalized() bool {
	return o.Repeat != 0 && o.Repeat != 1 || o.Frequency != 0 || o.Presence != 0
}

// Dry says whether DRY is in force.
func (o Sampling) Dry() bool { return o.DRYMultiplier > 0 && o.DRYBase >= 1 && o.DRYLast != 0 }

// LooksBack says whether what is sampled depends on the tokens before, which the sampler then
// has to be told of: by a grammar, a penalty or DRY.
func (o Sampling) LooksBack() bool { return o.Grammar != "" || o.Penalized() || o.Dry() }

// Errors of sampling under a grammar.
var (
	// ErrNoCandidate says that the grammar, or a bias, allows none of the candidates.
	ErrNoCandidate = errors.New("the grammar or logit_bias allows none of the candidates")
	// ErrGrammar is wrapped by the error for a grammar that cannot be obeyed: it is no
	// GBNF, or too large, or takes too much work.
	ErrGrammar = errors.New("grammar")
)
