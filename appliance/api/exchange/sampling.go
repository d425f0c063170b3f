package exchange

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"skerry/appliance/infer"
)

// Rarer are the fields of sampling that llama.cpp's server and vLLM have beyond OpenAI's.
type Rarer struct {
	Repetition       *float32        `json:"repetition_penalty"`
	RepeatLast       *Integer        `json:"repeat_last_n"`
	Typical          *float32        `json:"typical_p"`
	TopNSigma        *float32        `json:"top_n_sigma"`
	XTCProbability   *float32        `json:"xtc_probability"`
	XTCThreshold     *float32        `json:"xtc_threshold"`
	DRYMultiplier    *float32        `json:"dry_multiplier"`
	DRYBase          *float32        `json:"dry_base"`
	DRYAllowed       *Integer        `json:"dry_allowed_length"`
	DRYLast          *Integer        `json:"dry_penalty_last_n"`
	DRYBreakers      *[]string       `json:"dry_sequence_breakers"`
	DynatempRange    *float32        `json:"dynatemp_range"`
	DynatempExponent *float32        `json:"dynatemp_exponent"`
	MinKeep          *Integer        `json:"min_keep"`
	LogitBias        json.RawMessage `json:"logit_bias"`
	MinTokens        *Integer        `json:"min_tokens"`
	IgnoreEnd        bool            `json:"ignore_eos"`
}

// Defaults of DRY and XTC where they are on, as llama.cpp has them.
const (
	dryBase      = 1.75
	dryAllowed   = 2
	xtcThreshold = 0.1
)

var dryBreakers = []string{"\n", ":", `"`, "*"}

// Apply checks the fields and puts them into the options.
func (x *Rarer) Apply(o *infer.Options) (err error) {
	for _, err := range []error{
		Within("repetition_penalty", x.Repetition, 0, 10),
		Within("repeat_last_n", x.RepeatLast, -1, 1<<16),
		Within("typical_p", x.Typical, 0, 1),
		Within("top_n_sigma", x.TopNSigma, -1, 1e6),
		Within("xtc_probability", x.XTCProbability, 0, 1),
		Within("xtc_threshold", x.XTCThreshold, 0, 1),
		Within("dry_multiplier", x.DRYMultiplier, 0, 1e6),
		Within("dry_base", x.DRYBase, 0, 1e6),
		Within("dry_allowed_length", x.DRYAllowed, 0, 1<<16),
		Within("dry_penalty_last_n", x.DRYLast, -1, 1<<20),
		Within("dynatemp_range", x.DynatempRange, 0, 100),
		Within("dynatemp_exponent", x.DynatempExponent, 0, 100),
		Within("min_keep", x.MinKeep, 0, 1<<20),
		Within("min_tokens", x.MinTokens, 0, math.MaxInt32),
	} {
		if err != nil {
			return err
		}
	}
	if x.Repetition != nil {
		o.Repeat = *x.Repetition
	}
	LookBack(o, x.RepeatLast)
	o.Typical, o.TopNSigma = Value(x.Typical), max(0, Value(x.TopNSigma))
	o.MinKeep, o.MinTokens, o.IgnoreEnd = int(Value(x.MinKeep)), int(Value(x.MinTokens)), x.IgnoreEnd
	if o.XTCProbability = Value(x.XTCProbability); o.XTCProbability > 0 {
		o.XTCThreshold = given(x.XTCThreshold, xtcThreshold)
	}
	if o.DRYMultiplier = Value(x.DRYMultiplier); o.DRYMultiplier > 0 {
		o.DRYBase, o.DRYAllowed = given(x.DRYBase, dryBase), int(given(x.DRYAllowed, dryAllowed))
		o.DRYLast, o.DRYBreakers = int(given(x.DRYLast, -1)), given(x.DRYBreakers, dryBreakers)
	}
	if o.DynatempRange = Value(x.DynatempRange); o.DynatempRange > 0 {
		o.DynatempExponent = given(x.DynatempExponent, 1)
	}
	o.Bias, err = biases(x.LogitBias)
	return err
}

// LookBack sets how many tokens penalties look back at: none is no penalty that repeats.
func LookBack(o *infer.Options, last *Integer) {
	if last == nil {
		return
	}
	if o.PenaltyLast = int(*last); *last == 0 {
		o.Repeat, o.Frequency, o.Presence = 1, 0, 0
	}
}

// given is the value of a field, or what stands for one that is absent.
func given[T any](p *T, otherwise T) T {
	if p != nil {
		return *p
	}
	return otherwise
}

// biases of logit_bias: an object from token ids to numbers, as OpenAI has it, or a list of
// pairs, as llama.cpp does, where false rules a token out.
func biases(raw json.RawMessage) (all []infer.TokenBias, err error) {
	if !Given(raw) {
		return nil, nil
	}
	wrong := BadRequest("logit_bias", `logit_bias must be an object of token ids with numbers from -100 to 100, as {"15043": -100}, or a list of pairs: words are not taken, /tokenize has their ids`)
	pairs := [][2]json.RawMessage{}
	if raw = bytes.TrimSpace(raw); raw[0] == '{' {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil, wrong
		}
		for id, bias := range object {
			pairs = append(pairs, [2]json.RawMessage{json.RawMessage(id), bias})
		}
	} else if json.Unmarshal(raw, &pairs) != nil {
		return nil, wrong
	}
	if len(pairs) > infer.MaxBias {
		return nil, BadRequest("logit_bias", "logit_bias is of %d tokens: give at most %d", len(pairs), infer.MaxBias)
	}
	for _, p := range pairs {
		id, errID := strconv.ParseInt(string(p[0]), 10, 32)
		bias, errBias := strconv.ParseFloat(string(p[1]), 32)
		if string(p[1]) == "false" {
			bias, errBias = infer.Banned, nil
		} else if !(bias >= -100 && bias <= 100) {
			return nil, wrong
		} else if bias == -100 {
			bias = infer.Banned
		}
		if errID != nil || errBias != nil || id < 0 {
			return nil, wrong
		}
		all = append(all, infer.TokenBias{ID: int32(id), Bias: float32(bias)})
	}
	slices.SortFunc(all, func(a, b infer.TokenBias) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}
