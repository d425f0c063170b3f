package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/status"
)

type cloudLoadCmd struct {
	cloudFlags
	JSON bool `name:"json" help:"Print the load as JSON, with every counter."`
}

func (c *cloudLoadCmd) Run(ctx context.Context, out *cli.Console) error {
	op, err := c.operateRunning(ctx)
	if err != nil {
		return err
	}
	defer op.Close()
	load, err := op.Load(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(load)
	}
	if err := load.WriteText(out.Stdout); err != nil {
		return err
	}
	for _, d := range load.Devices {
		if d.Trouble != "" {
			out.Note("%s: %s", status.Printable(d.Device), status.Printable(d.Trouble))
		}
	}
	return nil
}

type cloudTopCmd struct {
	cloudFlags
	cloudnode.TopVerb
}

func (c *cloudTopCmd) Run(ctx context.Context, out *cli.Console) error {
	return c.Do(ctx, out, c.operateRunning)
}
