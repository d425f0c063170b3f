package decode

import "skerry/appliance/bench"

// Target is a throughput ratio that a model should reach, by its median.
type Target struct {
	Name string  `json:"name"`
	Want float64 `json:"want"`
	// Got picks the ratio; nil where it was not measured.
	Got func(*ModelReport) *bench.Quartiles `json:"-"`
}

// Outcome is a target and what came of it.
type Outcome struct {
	Target
	Got *bench.Quartiles `json:"got"`
	Met bool             `json:"met"`
}

func outcomes(targets []Target, m *ModelReport) []Outcome {
	out := []Outcome{}
	for _, t := range targets {
		q := t.Got(m)
		out = append(out, Outcome{t, q, q != nil && q.P50 >= t.Want})
	}
	return out
}

// ChainTargets hold for every model: a split costs next to nothing, and the
// kernels are as fast as llama.cpp's own people build them.
func ChainTargets() []Target {
	return []Target{
		{"chained decode over unsplit", 0.95, func(m *ModelReport) *bench.Quartiles { return m.Decode.Chained }},
		{"chained prompt over unsplit", 0.95, func(m *ModelReport) *bench.Quartiles { return m.Prompt.Chained }},
		{"decode over peer", 0.95, func(m *ModelReport) *bench.Quartiles { return m.Decode.OverPeer }},
		{"prompt over peer", 0.95, func(m *ModelReport) *bench.Quartiles { return m.Prompt.OverPeer }},
	}
}

// ExitTarget is of decoding up to an exit with a shortlist.
func ExitTarget(name string, blocks int, want float64) Target {
	return Target{name, want, func(m *ModelReport) *bench.Quartiles {
		for _, e := range m.Decode.Exits {
			if e.Blocks == blocks && e.Head.Kind == Shortlist {
				return e.OverUnsplit
			}
		}
		return nil
	}}
}
