package remote

import (
	"context"
	"fmt"
	"slices"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/draftmodel"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// Comparison is what Compare is told.
type Comparison struct {
	Version string // of this program
	State   string // where the development certificates are kept
	Bundle  *bundle.Bundle
	Prompts []string
	Options strategies.Options // but for the prompts' tokens, the split and the width
	Setting *sim.Setting       // of a simulation, nil to measure
	Record  string             // the file in which is kept what the models say, "" for none
}

// Compare measures, or simulates, ways of answering with the edge in this process and the
// cloud in one beside it, each on a core of its own where there are two. Models are loaded once
// something is to be computed.
func Compare(ctx context.Context, c Comparison) (*strategies.Report, error) {
	where, edgeCore, cloudCore, err := Placement()
	if err != nil {
		return nil, err
	}
	m := c.Bundle.Manifest
	prompts, err := firstTurns(c.Bundle, c.Prompts)
	if err != nil {
		return nil, err
	}
	record, err := strategies.OpenRecording(c.Record, whatSpeaks(m))
	if err != nil {
		return nil, err
	}
	bench := strategies.Bench{Edge: unopened(m), Options: c.Options, Record: record}
	bench.Prompts, bench.Width = prompts, m.Embedding
	if len(m.Exits) > 0 {
		bench.Split, bench.Head = float64(m.Exits[0])/float64(m.Blocks), m.Heads[0].Cost
		bench.Split2 = float64(m.Exits[len(m.Exits)-1]) / float64(m.Blocks)
	}
	var closers []func()
	defer func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}()
	bench.Open = func(ctx context.Context, b *strategies.Bench) error {
		if edgeCore >= 0 {
			if err := Pin(edgeCore); err != nil {
				return err
			}
		}
		e, err := OpenEdge(ctx, c.Bundle, c.Prompts, c.Options.MaxTokens)
		if err != nil {
			return err
		}
		closers = append(closers, e.Close)
		cloud, err := Start(Options{Version: c.Version, State: c.State, Bundle: c.Bundle, Model: e.Model, Core: cloudCore, Sessions: b.Sessions()})
		if err != nil {
			return err
		}
		closers = append(closers, cloud.Stop)
		b.Edge, b.Cloud = e.Model, cloud
		return nil
	}
	r, err := bench.Run(ctx, c.Setting)
	if err != nil {
		return nil, err
	}
	r.Run.Model, r.Run.Blocks, r.Run.Exits, r.Run.Cores, r.Run.Kernels = m.Name, m.Blocks, m.Exits, where, engine.Init("").Variant
	return r, nil
}

// unopened is the edge's model before its files are opened: what it believes from.
func unopened(m *bundle.Manifest) (e decode.Model) {
	for i := range m.Exits {
		e.Exits = append(e.Exits, decode.Exit{Threshold: m.Heads[i].Threshold})
	}
	if m.Draft != nil {
		e.Draft = draftmodel.Of(nil, m.Draft)
	}
	return e
}

// whatSpeaks names all that decides what a bundle's models say and how sure they are.
func whatSpeaks(m *bundle.Manifest) string {
	s := fmt.Sprintf("%x", m.ID())
	if d := m.Draft; d != nil {
		s += fmt.Sprintf(" draft %s at %g", d.SHA256, d.Temperature)
	}
	for _, h := range m.Heads {
		s += fmt.Sprintf(" exit %d %s %s", h.Exit, h.Kind, h.SHA256)
	}
	return s
}
