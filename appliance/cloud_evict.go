package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

type cloudEvictCmd struct {
	Device string `arg:"" optional:"" help:"Free the contexts of this board alone; without it, those of all."`
	cloudFlags
}

func (c *cloudEvictCmd) Run(ctx context.Context, out *cli.Console) error {
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	freed, err := cloudnode.Evict(ctx, state, c.Device)
	if err != nil {
		return err
	}
	out.Note("%s freed; what is still wanted of them the boards send again", status.Plural(freed, "context"))
	return nil
}
