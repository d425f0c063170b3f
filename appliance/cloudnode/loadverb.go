package cloudnode

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// LoadVerb is skerry cloud load.
type LoadVerb struct {
	OperatorFlags
	JSON bool `name:"json" help:"Print the load as JSON, with every counter."`
}

// Run shows what the cloud that runs holds and computes.
func (c *LoadVerb) Run(ctx context.Context, out *cli.Console) error {
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
