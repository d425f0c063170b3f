package strategies

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/cloudlink/wire"
)

// Encoding of hidden states on the wire.
type Encoding string

// The encodings that modes are measured with; any other of package wire has the name
// of its elements. Token ids are what a whole model in the cloud takes.
const (
	F32 Encoding = "f32"
	F16 Encoding = "f16"
	IDs Encoding = "ids"
)

// OnWire is the encoding as package wire has it, nil for token ids and for none.
func (e Encoding) OnWire() *wire.Encoding {
	for _, known := range wire.Encodings() {
		if known.Element == string(e) {
			return known
		}
	}
	return nil
}

// Bytes per value of a hidden state, 0 where none is sent.
func (e Encoding) Bytes() float64 {
	if known := e.OnWire(); known != nil {
		return known.BytesPerValue()
	}
	return 0
}

// unreached is a threshold that no confidence reaches.
const unreached = 1.1

// Variant is a mode with what it may differ in.
type Variant struct {
	Name       string
	Mode       infer.Mode
	Eager      bool
	Encoding   Encoding // empty where nothing is sent
	Thresholds []float64
	Draft      infer.Drafting // of modes that check drafts
	// CloudDrafts has the cloud draft for itself and lead, as decode.CloudLed does.
	CloudDrafts bool
	// Auto stands for the variant of those measured beside it that is predicted to be the
	// fastest of those whose text is the whole model's.
	Auto bool
}

// withCloudDraft is the name of a cloud that drafts for itself: decode.CloudLed.
const withCloudDraft = string(decode.CloudOnly) + "+draft"

// usual is how a mode sends.
func usual(m decode.ModeSpec) Encoding {
	switch {
	case !m.Cloud:
		return ""
	case m.Upload.Tokens:
		return IDs
	}
	return cmp.Or(Encoding(m.Upload.Encoding), F32)
}

// options are what may follow the name of collaborative, beside a threshold as
// t0.8 and the name of an encoding.
var options = map[string]func(*Variant){
	"ids":       func(v *Variant) { v.Encoding = IDs },
	"eager":     func(v *Variant) { v.Eager = true },
	"unreached": func(v *Variant) { v.Thresholds = []float64{unreached} },
}

// Default are the variants that are measured unless told. Collaborative has the
// thresholds of the model's own exits, and beside it the paper's. The last two let
// the cloud say everything: they differ in nothing but the encoding.
var Default = []string{"cloud-only", "naive", "paper", "standalone", "collaborative", "collaborative-t0.8", "collaborative-t0.8-eager",
	"collaborative-unreached", "collaborative-unreached-q8"}

// Further variants are measured where they are named.
var Further = []string{withCloudDraft, string(decode.Verified), string(decode.Verified) + "-ids", string(infer.Auto)}

// ParseVariants reads names. Cloud-only is always among them, as the others are
// measured against it. The name auto is of the one that is predicted to be the fastest.
func ParseVariants(names []string) ([]Variant, error) {
	out := []Variant{{Name: string(decode.CloudOnly), Mode: decode.CloudOnly, Encoding: IDs}}
	for _, name := range names {
		name = strings.TrimSpace(name)
		v, err := Variant{Name: name, Mode: infer.Auto, Auto: true}, error(nil)
		if name != string(infer.Auto) {
			v, err = ParseVariant(name)
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o Variant) bool { return o.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return out, nil
}

// ParseVariant reads the name of a mode and, behind collaborative, of options; behind
// verified of -ids, and behind cloud-only of +draft.
func ParseVariant(name string) (Variant, error) {
	bad := fmt.Errorf("mode %q is unknown: choose of %s", name, strings.Join(slices.Concat(Default, Further), ", "))
	if name == withCloudDraft {
		return Variant{Name: name, Mode: decode.CloudLed, Encoding: IDs, CloudDrafts: true}, nil
	}
	for mode := range kinds {
		rest, ok := strings.CutPrefix(name, string(mode))
		if !ok || rest != "" && rest[0] != '-' {
			continue
		}
		v := Variant{Name: name, Mode: mode, Encoding: usual(decode.SpecOf(mode))}
		if rest == "" {
			return v, nil
		}
		if rest == "-ids" && decode.SpecOf(mode).Speculates && decode.SpecOf(mode).Cloud {
			v.Encoding = IDs
			return v, nil
		}
		if !decode.SpecOf(mode).Bounded {
			return v, bad
		}
		for part := range strings.SplitSeq(rest[1:], "-") {
			if set, ok := options[part]; ok {
				set(&v)
			} else if e, ok := wire.EncodingNamed(part); ok {
				v.Encoding = Encoding(e.Element)
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

// drafts reports whether a draft model, where the edge has one, speaks in place of the exits.
func (v Variant) drafts() bool { return decode.SpecOf(v.Mode).Drafts }

// streams reports whether the cloud goes on by itself.
func (v Variant) streams() bool { return v.Mode == decode.CloudOnly || v.CloudDrafts }

// tokenIDs reports whether the board sends token ids and holds no block of the model.
func (v Variant) tokenIDs() bool { return v.Encoding == IDs && v.drafts() }

// On is the board's part of the model as the variant uses it.
func (v Variant) On(m decode.Model) (decode.Model, error) {
	if !v.tokenIDs() {
		return m, nil
	}
	if m.Draft == nil && !v.streams() {
		return m, fmt.Errorf("mode %s needs a draft model: split the model with --draft", v.Name)
	}
	m.Exits = []decode.Exit{{Stage: decode.NewTokenStage()}}
	return m, nil
}

// thresholds are the confidences at which the variant believes exits that have
// these of their own; nil where it asks none.
func (v Variant) thresholds(own []float64) []float64 {
	switch {
	case v.streams(), !decode.HasExits(v.Mode):
		return nil
	case v.Thresholds == nil && decode.SpecOf(v.Mode).Threshold > 0:
		own = []float64{decode.SpecOf(v.Mode).Threshold}
	case v.Thresholds != nil:
		own = v.Thresholds
	}
	if len(own) == 1 {
		own = []float64{own[0], own[0]}
	}
	return own
}
