package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
)

type cloudDrainCmd struct {
	cloudnode.DrainVerb
	cloudFlags
}

func (c *cloudDrainCmd) Run(ctx context.Context, out *cli.Console) error {
	return c.Do(ctx, out, c.operateRunning)
}
