package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"skerry/appliance/bench/remote"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/engine"
)

type benchStrategiesCmd struct {
	Model     string    `help:"Measure this bundle instead of the default model's." placeholder:"DIR" type:"path"`
	Link      []string  `help:"Measure over this emulated link, as rtt=3ms,rate=30mbit. An RTT may be given in passes of the cloud, as rtt=0.1T. It may be repeated." sep:"none" placeholder:"SPEC"`
	Prompts   string    `help:"Ask the prompts of this file, one a line, instead of the eight that are built in." placeholder:"FILE" type:"existingfile"`
	Modes     []string  `help:"Measure these of ${strategies}. Collaborative may have -f16, another threshold as -t0.9, or several of these joined. Cloud-only is always among them; auto is the one predicted to be the fastest." placeholder:"A,B"`
	MaxTokens int       `help:"Say so many tokens after each prompt." default:"48"`
	Rounds    int       `help:"Measure so many rounds; each gives every mode one turn over all prompts." default:"3"`
	Slowdown  []float64 `name:"edge-slowdown" help:"Stretch the time that the edge computes by this factor, by sleeping. That is an emulation. Of several, as 1,3,20, each has a table." placeholder:"X,Y"`
	Sweep     bool      `help:"Measure with RTTs from 0 to 5 passes of the cloud, and plot the result."`
	Simulate  string    `help:"Replay the tokens through a cloud and an edge of given cost instead, as T=35ms,m=0.05. It also takes slow=, width=, a= and b= (depths of the exits) and h= (cost of a head) and d= (of a drafted token)." placeholder:"SPEC"`
	State     string    `help:"Keep certificates in this directory." placeholder:"DIR" type:"path"`
	Seed      uint64    `help:"Draw the order of turns with this seed." default:"1"`
	Out       string    `help:"Also write strategies.json, .txt, .md and the plot to this directory." placeholder:"DIR" type:"path"`
	Name      string    `help:"Give the files in --out this name." default:"strategies"`
	JSON      bool      `name:"json" help:"Print the result as JSON."`
}

func (c *benchStrategiesCmd) Run(ctx context.Context, out *cli.Console) error {
	o, setting, err := c.options()
	if err != nil {
		return err
	}
	b, err := choose.Whole(ctx, out, c.Model)
	if err != nil {
		return err
	}
	where, edgeCore, cloudCore, err := remote.Placement()
	if err != nil {
		return err
	}
	if edgeCore >= 0 {
		if err := remote.Pin(edgeCore); err != nil {
			return err
		}
	}
	prompts, err := c.prompts()
	if err != nil {
		return err
	}
	e, err := remote.OpenEdge(ctx, b, prompts, c.MaxTokens)
	if err != nil {
		return err
	}
	defer e.Close()
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	cloud, err := remote.Start(remote.Options{Version: version, State: state, Bundle: b, Model: e.Model, Core: cloudCore})
	if err != nil {
		return err
	}
	defer cloud.Stop()
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	o.Prompts, o.Progress = e.Prompts, p.Step
	if man := b.Manifest; len(man.Exits) > 0 {
		o.Split = float64(man.Exits[0]) / float64(man.Blocks)
	}
	bench := strategies.Bench{Edge: e.Model, Cloud: cloud, Options: o}
	r, err := bench.Run(ctx, setting)
	if err != nil {
		return err
	}
	p.Done()
	m := b.Manifest
	r.Run.Model, r.Run.Blocks, r.Run.Exits, r.Run.Cores, r.Run.Kernels = m.Name, m.Blocks, m.Exits, where, engine.Init("").Variant
	return c.write(out, r)
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
		return o, nil, cli.Usagef("--max-tokens %d --rounds %d: choose at least 1 of either, at most 4096 tokens", c.MaxTokens, c.Rounds)
	}
	for _, slow := range c.Slowdown {
		if !(slow >= 1 && slow <= 1000) {
			return o, nil, cli.Usagef("--edge-slowdown is %g: choose 1 (this machine) to 1000", slow)
		}
	}
	names := c.Modes
	if len(names) == 0 {
		names = strategies.Default
	}
	if o.Variants, err = strategies.ParseVariants(names); err != nil {
		return o, nil, cli.Usagef("--modes: %w", err)
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
			return o, nil, cli.Usagef("--link: %w", err)
		}
		if o.Links = append(o.Links, l); c.Sweep {
			o.Links = l.Sweep()
		}
	}
	if c.Sweep && len(texts) > 1 {
		return o, nil, cli.Usagef("--sweep takes one --link, for its rate and loss")
	}
	if c.Simulate == "" {
		return o, nil, nil
	}
	s := sim.Paper()
	if s, err = sim.Parse(c.Simulate, s); err != nil {
		return o, nil, cli.Usagef("--simulate: %w", err)
	}
	return o, &s, nil
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
func (c *benchStrategiesCmd) write(out *cli.Console, r *strategies.Report) error {
	if c.Out != "" {
		if err := r.WriteFiles(c.Out, c.Name); err != nil {
			return err
		}
	}
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, r)
	}
	return r.WriteText(out.Stdout)
}
