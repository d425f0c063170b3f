package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
)

type cloudUpdateCmd struct {
	cloudFlags
	cloudnode.UpdateVerb
}

func (c *cloudUpdateCmd) Run(ctx context.Context, out *cli.Console) error {
	return c.Do(ctx, out, c.operate)
}
