package main

import (
	"context"

	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/cli"
	"skerry/appliance/engine"
	"skerry/appliance/node"
)

type modelCalibrateCmd struct{ calibrate.Flags }

func (c *modelCalibrateCmd) Run(ctx context.Context, out *cli.Console) error {
	o, err := c.Options()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	if k := engine.Init(""); k.Baseline() {
		out.Note("%s", node.BaselineWarning)
	}
	p := cli.NewProgress(out, "calibrate")
	defer p.Done()
	o.Progress, o.Note = p.Step, out.Note
	r, err := calibrate.Run(ctx, c.Dir, o)
	if err != nil {
		return err
	}
	p.Done()
	if c.JSON {
		return out.JSON(r)
	}
	return r.WriteText(out.Stdout)
}
