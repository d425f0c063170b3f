package strategies

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/decode"
)

// Encoding of hidden states on the wire.
type Encoding string

// The encodings. Token ids are what a whole model in the cloud takes.
const (
	F32 Encoding = "f32"
	F16 Encoding = "f16"
	Q8  Encoding = "q8_0"
	IDs Encoding = "ids"
)

// Bytes per value of a hidden state; Q8 has a 16-bit scale for 32 of them.
func (e Encoding) Bytes() float64 {
	return map[Encoding]float64{F32: 4, F16: 2, Q8: 34.0 / 32}[e]
}

// unreached is a threshold that no confidence reaches.
const unreached = 1.1

// Variant is a mode with what it may differ in.
type Variant struct {
	Name       string
	Mode       decode.Mode
	Eager      bool
	Encoding   Encoding // empty where nothing is sent
	Thresholds []float64
}

// usual is how each mode sends.
var usual = map[decode.Mode]Encoding{
	decode.CloudOnly: IDs, decode.Naive: F32, decode.Paper: F16, decode.Standalone: "", decode.Collaborative: F32,
}

// options are what may follow the name of collaborative, beside a threshold as
// t0.8.
var options = map[string]func(*Variant){
	"eager":     func(v *Variant) { v.Eager = true },
	"f16":       func(v *Variant) { v.Encoding = F16 },
	"q8":        func(v *Variant) { v.Encoding = Q8 },
	"unreached": func(v *Variant) { v.Thresholds = []float64{unreached} },
}

// Default are the variants that are measured unless told. Collaborative has the
// thresholds of the model's own exits, and beside it the paper's. The last two let
// the cloud say everything: they differ in nothing but the encoding.
var Default = []string{"cloud-only", "naive", "paper", "standalone", "collaborative", "collaborative-t0.8", "collaborative-t0.8-eager",
	"collaborative-unreached", "collaborative-unreached-q8"}

// ParseVariants reads names. Cloud-only is always among them, as the others are
// measured against it.
func ParseVariants(names []string) ([]Variant, error) {
	out := []Variant{{Name: string(decode.CloudOnly), Mode: decode.CloudOnly, Encoding: IDs}}
	for _, name := range names {
		v, err := parseVariant(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o Variant) bool { return o.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return out, nil
}

func parseVariant(name string) (Variant, error) {
	bad := fmt.Errorf("mode %q is unknown: choose of %s", name, strings.Join(Default, ", "))
	for mode, encoding := range usual {
		rest, ok := strings.CutPrefix(name, string(mode))
		if !ok || rest != "" && rest[0] != '-' {
			continue
		}
		v := Variant{Name: name, Mode: mode, Encoding: encoding}
		if rest == "" {
			return v, nil
		}
		if mode != decode.Collaborative {
			return v, bad
		}
		for part := range strings.SplitSeq(rest[1:], "-") {
			if set, ok := options[part]; ok {
				set(&v)
			} else if t, err := strconv.ParseFloat(strings.TrimPrefix(part, "t"), 64); part[:min(1, len(part))] == "t" && err == nil && t >= 0 {
				v.Thresholds = []float64{t}
			} else {
				return v, bad
			}
		}
		return v, nil
	}
	return Variant{}, bad
}

// thresholds are the confidences at which the variant believes exits that have
// these of their own; nil where it asks none.
func (v Variant) thresholds(own []float64) []float64 {
	switch {
	case v.Mode == decode.CloudOnly || v.Mode == decode.Naive:
		return nil
	case v.Thresholds == nil && v.Mode == decode.Paper:
		own = []float64{decode.PaperThreshold}
	case v.Thresholds != nil:
		own = v.Thresholds
	}
	if len(own) == 1 {
		own = []float64{own[0], own[0]}
	}
	return own
}
