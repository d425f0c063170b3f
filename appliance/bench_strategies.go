package main

import (
	"context"

	"skerry/appliance/bench/remote"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle/choose"
	"skerry/appliance/cli"
	"skerry/appliance/config"
)

type benchStrategiesCmd struct{ strategies.Flags }

func (c *benchStrategiesCmd) Run(ctx context.Context, out *cli.Console) error {
	o, setting, err := c.Options()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	b, err := choose.Whole(ctx, out, c.Model)
	if err != nil {
		return err
	}
	prompts, err := c.Texts()
	if err != nil {
		return err
	}
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	p := cli.NewProgress(out, "bench")
	defer p.Done()
	o.Progress = p.Step
	r, err := remote.Compare(ctx, remote.Comparison{Version: version, State: state, Bundle: b, Prompts: prompts, Options: o, Setting: setting, Record: c.Record})
	if err != nil {
		return err
	}
	p.Done()
	if c.Out != "" {
		if err := r.WriteFiles(c.Out, c.Name); err != nil {
			return err
		}
	}
	return out.Report(c.JSON, r)
}
