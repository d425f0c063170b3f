package main

import (
	"context"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/update"
	"skerry/appliance/update/fleet"
	"skerry/appliance/update/install"
)

type updateFleetCmd struct {
	installedFlags
	settingsFlags
	daemonFlags
}

func (c *updateFleetCmd) Run(ctx context.Context, out *cli.Console) error {
	conf, _, err := c.load()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	keys, err := install.Keys(updateKeys)
	if err != nil {
		return err
	}
	i, err := c.find()
	if err != nil {
		return err
	}
	d := c.dial()
	defer d.Close()
	b := &fleet.Board{
		Installed: i, Allowed: conf.Update.FromCloud, Keys: keys, Now: time.Now,
		Try: func(a update.Attempt) error { return restart(i, a) },
		Offer: func(ctx context.Context) (fleet.Offer, error) {
			o, err := d.Offer(ctx)
			return fleet.Offer{Number: o.Number, Version: o.Version, URL: o.URL, From: o.From, Until: o.Until}, err
		},
	}
	return b.StepAndSay(ctx, out.Note)
}
