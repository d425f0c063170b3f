package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/status"
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
		return json.NewEncoder(out.Stdout).Encode(rows)
	}
	if len(rows) == 0 {
		out.Note("no board is enrolled yet: `skerry cloud invite` makes a code for one")
		return nil
	}
	table := [][]string{{"NAME", "MAY SEE", "STATE", "EPOCH", "LAST HEARD", "VERSION", "MODE", "HEALTH", "UP", "DOWN"}}
	for _, r := range rows {
		table = append(table, deviceCells(r, time.Now()))
	}
	return cli.Table(out.Stdout, table...)
}

func deviceCells(r cloudnode.Device, now time.Time) []string {
	state, seen := "enrolled", "never"
	switch {
	case r.Revoked:
		state = "revoked"
	case now.After(r.Expires):
		state = "expired"
	case r.Online:
		state = "connected"
	}
	switch {
	case r.Seen != nil:
		seen = cli.Ago(now.Sub(*r.Seen))
	case r.Online: // the first report comes within half a minute
		seen = "no report yet"
	}
	cells := []string{r.Name, string(r.May), state, fmt.Sprint(r.Epoch), seen}
	if s := r.Status; s != nil {
		return append(cells, s.Version, s.Mode, s.Health, status.Bytes(s.BytesUp), status.Bytes(s.BytesDown))
	}
	return append(cells, "-", "-", "-", "-", "-")
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
