package remote

import (
	"context"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// Comparison is what Compare is told.
type Comparison struct {
	Version string // of this program
	State   string // where the development certificates are kept
	Bundle  *bundle.Bundle
	Prompts []string
	Options strategies.Options // but for the prompts' tokens and the split
	Setting *sim.Setting       // of a simulation, nil to measure
}

// Compare measures, or simulates, ways of answering with the edge in this process and the
// cloud in one beside it, each on a core of its own where there are two.
func Compare(ctx context.Context, c Comparison) (*strategies.Report, error) {
	where, edgeCore, cloudCore, err := Placement()
	if err != nil {
		return nil, err
	}
	if edgeCore >= 0 {
		if err := Pin(edgeCore); err != nil {
			return nil, err
		}
	}
	e, err := OpenEdge(ctx, c.Bundle, c.Prompts, c.Options.MaxTokens)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	cloud, err := Start(Options{Version: c.Version, State: c.State, Bundle: c.Bundle, Model: e.Model, Core: cloudCore})
	if err != nil {
		return nil, err
	}
	defer cloud.Stop()
	o, m := c.Options, c.Bundle.Manifest
	o.Prompts = e.Prompts
	if len(m.Exits) > 0 {
		o.Split = float64(m.Exits[0]) / float64(m.Blocks)
	}
	bench := strategies.Bench{Edge: e.Model, Cloud: cloud, Options: o}
	r, err := bench.Run(ctx, c.Setting)
	if err != nil {
		return nil, err
	}
	r.Run.Model, r.Run.Blocks, r.Run.Exits, r.Run.Cores, r.Run.Kernels = m.Name, m.Blocks, m.Exits, where, engine.Init("").Variant
	return r, nil
}
