package cloudnode

import (
	"context"
	"time"

	"skerry/appliance/cli"
)

// DevicesVerb is skerry cloud devices.
type DevicesVerb struct {
	OperatorFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Run lists the boards.
func (c *DevicesVerb) Run(ctx context.Context, out *cli.Console) error {
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
	return cli.Table(out.Stdout, DeviceTable(rows, time.Now())...)
}

// RevokeVerb is skerry cloud revoke.
type RevokeVerb struct {
	Device string `arg:"" help:"Bar the board that skerry cloud devices shows under this name."`
	OperatorFlags
}

// Run bars the board.
func (c *RevokeVerb) Run(ctx context.Context, out *cli.Console) error {
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
