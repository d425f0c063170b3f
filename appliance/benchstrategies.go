package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

type benchStrategiesCmd struct {
	Model     string   `help:"The bundle to measure; without it the default model." placeholder:"DIR" type:"path"`
	Link      []string `help:"Emulated link, as rtt=3ms,rate=30mbit; an RTT may be given in passes of the cloud, as rtt=0.1T. May be repeated." sep:"none" placeholder:"SPEC"`
	Prompts   string   `help:"Prompts, one a line; without it a few of our own." placeholder:"FILE" type:"existingfile"`
	Modes     []string `help:"Of ${strategies}; collaborative also with -f16, another threshold as -t0.9, and options joined. Cloud-only is always among them." placeholder:"A,B"`
	MaxTokens int      `help:"Tokens said after each prompt." default:"48"`
	Rounds    int      `help:"Each gives every mode one turn over all prompts." default:"3"`
	Slowdown  float64  `name:"edge-slowdown" help:"Stretch what the edge computes by this, by sleeping: an emulation." default:"1" placeholder:"X"`
	Sweep     bool     `help:"Measure with RTTs from 0 to 5 passes of the cloud, and plot."`
	Simulate  string   `help:"Replay the tokens through a cloud and an edge of given cost instead, as T=35ms,m=0.05; also slow=, width=, a=, b= (depths of the exits), h= (cost of a head)." placeholder:"SPEC"`
	State     string   `help:"Where certificates are kept." placeholder:"DIR" type:"path"`
	Seed      uint64   `help:"Seed of the order of turns." default:"1"`
	Out       string   `help:"Also write strategies.json, .txt, .md and the plot there." placeholder:"DIR" type:"path"`
	Name      string   `help:"Name of the files in --out." default:"strategies"`
	JSON      bool     `name:"json" help:"As JSON."`
}

func (c *benchStrategiesCmd) Run(ctx context.Context, out *console) error {
	o, setting, err := c.options()
	if err != nil {
		return err
	}
	b, err := c.bundle(ctx, out)
	if err != nil {
		return err
	}
	where, edgeCore, cloudCore, err := placement()
	if err != nil {
		return err
	}
	if edgeCore >= 0 {
		if err := pin(edgeCore); err != nil {
			return err
		}
	}
	prompts, err := c.prompts()
	if err != nil {
		return err
	}
	e, err := openBenchEdge(ctx, b, prompts, c.MaxTokens)
	if err != nil {
		return err
	}
	defer e.close()
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	far, err := startBenchFar(b, e.model, state, cloudCore)
	if err != nil {
		return err
	}
	defer far.stop()
	p := newProgress(out, "bench")
	defer p.done()
	o.Prompts, o.Progress = e.prompts, p.step
	r, err := measure(ctx, &strategies.Bench{Edge: e.model, Cloud: far, Options: o}, setting)
	if err != nil {
		return err
	}
	p.done()
	m := b.Manifest
	r.Run.Model, r.Run.Blocks, r.Run.Exits, r.Run.Cores, r.Run.Kernels = m.Name, m.Blocks, m.Exits, where, engine.Init("").Variant
	return c.write(out, r)
}

func measure(ctx context.Context, b *strategies.Bench, s *sim.Setting) (*strategies.Report, error) {
	if s != nil {
		return b.Simulate(ctx, *s)
	}
	return b.Measure(ctx)
}

// defaultLinks are what a run and a simulation take without --link.
const (
	defaultLink = "rtt=0.1T,rate=30mbit"
	paperLink   = "rtt=3ms,rate=30mbit"
)

// options are all that can be wrong before anything is loaded.
func (c *benchStrategiesCmd) options() (o strategies.Options, setting *sim.Setting, err error) {
	o = strategies.Options{MaxTokens: c.MaxTokens, Rounds: c.Rounds, Slow: c.Slowdown, Seed: c.Seed}
	if c.MaxTokens < 1 || c.MaxTokens > 4096 || c.Rounds < 1 || c.Rounds > 1000 {
		return o, nil, usageError("--max-tokens %d --rounds %d: choose at least 1 of either, at most 4096 tokens", c.MaxTokens, c.Rounds)
	}
	if !(c.Slowdown >= 1 && c.Slowdown <= 1000) {
		return o, nil, usageError("--edge-slowdown is %g: choose 1 (this machine) to 1000", c.Slowdown)
	}
	names := c.Modes
	if len(names) == 0 {
		names = strategies.Default
	}
	if o.Variants, err = strategies.ParseVariants(names); err != nil {
		return o, nil, usageError("--modes: %w", err)
	}
	texts := c.Link
	if len(texts) == 0 {
		if texts = []string{defaultLink}; c.Simulate != "" {
			texts = []string{paperLink}
		}
	}
	for _, text := range texts {
		l, err := strategies.ParseLink(text)
		if err != nil {
			return o, nil, usageError("--link: %w", err)
		}
		if o.Links = append(o.Links, l); c.Sweep {
			o.Links = l.Sweep()
		}
	}
	if c.Sweep && len(texts) > 1 {
		return o, nil, usageError("--sweep takes one --link, for its rate and loss")
	}
	if c.Simulate == "" {
		return o, nil, nil
	}
	s := sim.Paper()
	s.Slow = c.Slowdown
	if s, err = sim.Parse(c.Simulate, s); err != nil {
		return o, nil, usageError("--simulate: %w", err)
	}
	o.Slow = 1 // what is recorded are tokens, not times
	return o, &s, nil
}

func (c *benchStrategiesCmd) bundle(ctx context.Context, out *console) (*bundle.Bundle, error) {
	dir := c.Model
	if dir == "" {
		var err error
		if dir, err = defaultBundle(ctx, out); err != nil {
			return nil, err
		}
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := m.Stage(bundle.Unsplit); !ok {
		return nil, fmt.Errorf("%s: the whole model is not in the bundle, and there is nothing to compare with: split it without --no-unsplit", dir)
	}
	return bundle.Open(ctx, dir)
}

func (c *benchStrategiesCmd) prompts() ([]string, error) {
	text := ""
	if c.Prompts != "" {
		data, err := os.ReadFile(c.Prompts)
		if err != nil {
			return nil, err
		}
		if text = string(data); strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("%s: it is empty: write one prompt a line", c.Prompts)
		}
	}
	return strategies.Prompts(text), nil
}

// write prints the report, and writes it in every form to --out.
func (c *benchStrategiesCmd) write(out *console, r *strategies.Report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if c.Out != "" {
		var text, markdown strings.Builder
		if err := errors.Join(os.MkdirAll(c.Out, 0o755), r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
			return err
		}
		path := func(ext string) string { return filepath.Join(c.Out, c.Name+ext) }
		if err := errors.Join(os.WriteFile(path(".json"), append(data, '\n'), 0o644), os.WriteFile(path(".txt"), []byte(text.String()), 0o644),
			os.WriteFile(path(".md"), []byte(markdown.String()), 0o644), r.WritePlot(path(".svg"))); err != nil {
			return err
		}
	}
	if c.JSON {
		_, err := fmt.Fprintf(out.stdout, "%s\n", data)
		return err
	}
	return r.WriteText(out.stdout)
}
