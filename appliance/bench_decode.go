package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"skerry/appliance/bench/decode"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/cli"
	"skerry/appliance/engine"
	"skerry/appliance/node"
	"skerry/appliance/status"
)

type benchDecodeCmd struct {
	Model     string        `help:"Measure this bundle with the exits it has. Without it the default model is measured, and random weights in the shape of Llama-3.2-1B." placeholder:"DIR" type:"path"`
	Exits     string        `help:"Place one or two exits above so many blocks. Without it they are at a quarter and half of the depth." placeholder:"A[,B]"`
	Threads   int           `help:"Compute with so many threads; 0 takes all cores, as nothing else should run." default:"0"`
	Poll      int           `help:"Have idle threads spin so eagerly, from 0 to 100." default:"0"`
	Prompt    int           `help:"Begin with a prompt of so many tokens." default:"256"`
	Tokens    int           `help:"Decode so many tokens in a turn." default:"16"`
	Rounds    int           `help:"Measure so many rounds at most; each gives every candidate one turn." default:"15"`
	Budget    time.Duration `help:"Take so long for each model once it is loaded; the first round is always finished." default:"80s"`
	Shortlist int           `help:"Give the exit heads with a short list so many tokens." default:"8192"`
	Seed      uint64        `help:"Draw the order of turns with this seed." default:"1"`
	NoPeer    bool          `help:"Leave llama.cpp's own build out."`
	Quick     bool          `help:"Leave the shape of Llama-3.2-1B out, which takes 2 GB of memory and of the cache."`
	Out       string        `help:"Also write bench.json, bench.txt, bench.md and the plots to this directory." placeholder:"DIR" type:"path"`
	JSON      bool          `name:"json" help:"Print the result as JSON."`
}

func (c *benchDecodeCmd) Run(ctx context.Context, out *cli.Console) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	exits, err := parseExits(c.Exits)
	if err != nil {
		return err
	}
	if k := engine.Init(""); k.Baseline() {
		out.Note("%s", node.BaselineWarning)
	}
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	models, err := decode.Choice{Dir: c.Model, Quick: c.Quick, Exits: exits, Threads: o.Threads, Steps: p.StepOf, Note: out.Note}.Prepare(ctx)
	if e := (*prepare.ExitsError)(nil); errors.As(err, &e) {
		return cli.Usagef("--exits: %w", err)
	}
	if err != nil {
		return err
	}
	o.Progress = p.StepOf("bench")
	if c.NoPeer {
		o.PeerReason = "left out by --no-peer"
	} else if o.Peer, err = decode.InstallPeer(ctx, o.Progress); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.PeerReason = status.OneLine(err)
	}
	report, err := decode.Run(ctx, o, models...)
	if err != nil {
		return err
	}
	p.Done()
	if c.Out != "" {
		if err := report.WriteFiles(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, report)
	}
	return report.WriteText(out.Stdout)
}

func (c *benchDecodeCmd) options() (decode.Options, error) {
	o := decode.Options{Threads: c.Threads, Poll: c.Poll, Prompt: c.Prompt, Decode: c.Tokens, Rounds: c.Rounds, Budget: c.Budget, Seed: c.Seed, Shortlist: c.Shortlist}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	for _, f := range []struct {
		flag      string
		v, lo, hi int
	}{
		{"threads", o.Threads, 1, 512}, {"poll", o.Poll, 0, 100}, {"prompt", o.Prompt, 16, 4096}, {"tokens", o.Decode, 1, 4096},
		{"rounds", o.Rounds, 1, 1 << 20}, {"shortlist", o.Shortlist, 1, 1 << 20},
	} {
		if f.v < f.lo || f.v > f.hi {
			return o, cli.Usagef("--%s is %d: choose %d to %d", f.flag, f.v, f.lo, f.hi)
		}
	}
	if o.Budget <= 0 {
		return o, cli.Usagef("--budget is %s: choose a time, as 80s", o.Budget)
	}
	return o, nil
}
