package main

import (
	"context"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
)

type cloudDevicesCmd struct {
	cloudFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
}

func (c *cloudDevicesCmd) Run(ctx context.Context, out *cli.Console) error {
	op, err := c.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	rows, err := op.Devices(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(rows)
	}
	if len(rows) == 0 {
		out.Note("no board is enrolled yet: `skerry cloud invite` makes a code for one")
		return nil
	}
	return cli.Table(out.Stdout, cloudnode.DeviceTable(rows, time.Now())...)
}

type cloudRevokeCmd struct {
	Device string `arg:"" help:"Bar the board that skerry cloud devices shows under this name."`
	cloudFlags
}

func (c *cloudRevokeCmd) Run(ctx context.Context, out *cli.Console) error {
	op, err := c.operate(ctx, out)
	if err != nil {
		return err
	}
	defer op.Close()
	if err := op.Revoke(ctx, c.Device); err != nil {
		return err
	}
	out.Note("%s is revoked: it is cut off, and only a new code lets it in again", c.Device)
	return nil
}
