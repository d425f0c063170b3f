package main

import (
	"context"

	"skerry/appliance/bench/quality"
	"skerry/appliance/bench/quality/sandbox"
	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/config"
)

type benchQualityCmd struct {
	Task       string   `required:"" help:"Ask these questions: a task of ours (${quality_tasks}, or all), or a file in our form or that of Alpaca, XSum, BoolQ, QuAC or IMDB." placeholder:"NAME|FILE"`
	Modes      []string `help:"Measure these of unsplit, ${strategies}. Collaborative may have another threshold, as -t0.9. Unsplit is always among them; by default they are ${quality_modes}." placeholder:"A,B"`
	Model      string   `help:"Measure this bundle instead of the default model's." placeholder:"DIR" type:"path"`
	MaxTokens  int      `help:"Say at most so many tokens in an answer; 0: what is usual for the task." default:"0"`
	Limit      int      `help:"Ask so many entries of each task at most; 0: all." default:"0"`
	Seed       uint64   `help:"Draw the intervals' resamples with this seed." default:"1"`
	Unconfined bool     `help:"Run the programs of a code task without namespaces, with the network and your files in their reach."`
	State      string   `help:"Keep certificates in this directory." placeholder:"DIR" type:"path"`
	JSON       bool     `name:"json" help:"Print the result as JSON."`
}

func (c *benchQualityCmd) Run(ctx context.Context, out *cli.Console) error {
	modes, err := quality.ParseModes(c.Modes)
	if err != nil {
		return cli.Usagef("--modes: %w", err)
	}
	if c.MaxTokens < 0 || c.MaxTokens > 4096 || c.Limit < 0 {
		return cli.Usagef("--max-tokens %d --limit %d: choose 0 to 4096 tokens, and a limit of 0 (none) or more", c.MaxTokens, c.Limit)
	}
	tasks, err := quality.Load(c.Task, c.Limit)
	if err != nil {
		return cli.Usagef("--task: %w", err)
	}
	b, err := choose.Whole(ctx, out, c.Model)
	if err != nil {
		return err
	}
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	r, err := quality.Measure(ctx, quality.Options{Bundle: b, Tasks: tasks, Modes: modes, MaxTokens: c.MaxTokens, Limit: c.Limit, Seed: c.Seed, Version: version,
		State: state, Unconfined: c.Unconfined, SandboxArgs: []string{"bench", "sandbox"}, Progress: p.Step})
	if err != nil {
		return err
	}
	p.Done()
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, r)
	}
	return r.WriteText(out.Stdout)
}

// benchSandboxCmd is the process that a program of a code task runs in.
type benchSandboxCmd struct{}

func (c *benchSandboxCmd) Run(out *cli.Console) error { return sandbox.Enter(out.Stdin) }
