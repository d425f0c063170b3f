package main

import (
	"context"

	"skerry/appliance/bench/quality"
	"skerry/appliance/bench/quality/sandbox"
	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/config"
)

type benchQualityCmd struct{ quality.Flags }

func (c *benchQualityCmd) Run(ctx context.Context, out *cli.Console) error {
	o, err := c.Options()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	if o.Bundle, err = choose.Whole(ctx, out, c.Model); err != nil {
		return err
	}
	if o.State, err = config.StateDir(c.State); err != nil {
		return err
	}
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	o.Version, o.SandboxArgs, o.Progress = version, []string{"bench", "sandbox"}, p.Step
	r, err := quality.Measure(ctx, o)
	if err != nil {
		return err
	}
	p.Done()
	return out.Report(c.JSON, r)
}

// benchSandboxCmd is the process that a program of a code task runs in.
type benchSandboxCmd struct{}

func (c *benchSandboxCmd) Run(out *cli.Console) error { return sandbox.Enter(out.Stdin) }
