package decode

import (
	"skerry/appliance/bench"
	"skerry/appliance/engine"
)

// Report is what was measured, by model.
type Report map[string]*ModelReport

// ModelReport is what was measured of a model.
type ModelReport struct {
	Decode  Phase       `json:"decode"`
	Prompt  Phase       `json:"prompt"`
	Batch   []BatchCost `json:"batch"`
	Targets []Outcome   `json:"targets"`
	Model   ModelInfo   `json:"model"`
	Run     RunInfo     `json:"run"`
	Peer    PeerReport  `json:"peer"`
}

// Phase is decoding or prefill. The first five and Exits are ratios of throughput,
// taken within each round; nil where the one or the other was not there.
type Phase struct {
	Chained         *bench.Quartiles `json:"chained_over_unsplit"`
	Exit1           *bench.Quartiles `json:"exit1_over_unsplit"` // with the shortlist head
	Exit2           *bench.Quartiles `json:"exit2_over_unsplit"` // with the shortlist head
	OverPeer        *bench.Quartiles `json:"over_peer"`          // unsplit over peer
	ChainedOverPeer *bench.Quartiles `json:"chained_over_peer"`
	// Bandwidth is the share of the memory's read bandwidth that the unsplit
	// model's weights and KV cache take, each byte counted once a pass.
	Bandwidth *bench.Quartiles `json:"bandwidth_share"`
	Exits     []ExitReport     `json:"exits"`
	// Milliseconds per token (decode) or per prompt, by candidate.
	Milliseconds map[string]*bench.Quartiles `json:"ms"`
	Tokens       int                         `json:"tokens"` // of a turn
	Rounds       int                         `json:"rounds"`
}

// ExitReport is one exit with one head.
type ExitReport struct {
	Blocks      int              `json:"blocks"`
	Head        Head             `json:"head"`
	OverUnsplit *bench.Quartiles `json:"over_unsplit"`
}

// ModelInfo is what was measured.
type ModelInfo struct {
	Blocks      int   `json:"blocks"`
	Exits       []int `json:"exits"`
	Tensors     any   `json:"tensor_types"`
	PassBytes   int64 `json:"bytes_per_pass"` // of weights
	KVPerToken  int64 `json:"kv_bytes_per_position"`
	WholeBytes  int64 `json:"whole_bytes"`
	Vocabulary  int   `json:"n_vocab"`
	EmbedLength int   `json:"n_embd"`
}

// RunInfo is on what and how it was measured.
type RunInfo struct {
	Cores     int              `json:"cores"`
	Threads   int              `json:"threads"`
	Poll      int              `json:"poll"`
	Seed      uint64           `json:"seed"`
	Kernels   engine.Kernels   `json:"kernels"`
	Bandwidth *bench.Quartiles `json:"memory_read_gb_per_s"`
	Seconds   float64          `json:"seconds"`
}

// PeerReport names the peer or says why there is none.
type PeerReport struct {
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// phase makes ratios of samples. touched is the bytes of a pass, rate the bytes a
// second the memory gave in each round.
func (r *fixture) phase(s samples, tokens int, touched float64) Phase {
	whole := s[unsplit]
	over := func(name string) *bench.Quartiles { return bench.QuartilesOf(bench.Ratios(whole, s[name])) }
	p := Phase{Chained: over(chained), OverPeer: bench.QuartilesOf(bench.Ratios(s[peer], whole)), ChainedOverPeer: bench.QuartilesOf(bench.Ratios(s[peer], s[chained])),
		Exits: []ExitReport{}, Milliseconds: map[string]*bench.Quartiles{}, Tokens: tokens, Rounds: len(whole)}
	for _, e := range r.exits {
		q := over(e.name)
		if q == nil {
			continue
		}
		p.Exits = append(p.Exits, ExitReport{e.blocks, e.head, q})
		switch {
		case e.number == 1 && e.head.Kind == Shortlist:
			p.Exit1 = q
		case e.number == 2 && e.head.Kind == Shortlist:
			p.Exit2 = q
		}
	}
	var share []float64
	for i, perByte := range s[memory][:min(len(s[memory]), len(whole))] {
		share = append(share, touched*perByte/whole[i])
	}
	p.Bandwidth = bench.QuartilesOf(share)
	for name, x := range s {
		if name == memory {
			continue
		}
		ms := make([]float64, len(x))
		for i, v := range x {
			ms[i] = v * 1000
		}
		p.Milliseconds[name] = bench.QuartilesOf(ms)
	}
	return p
}
