package verb

import (
	"context"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/update"
	"skerry/appliance/update/fleet"
	"skerry/appliance/update/install"
)

// Fleet installs what the cloud offers, if it is time; a timer calls it.
type Fleet struct {
	Slots
	target.Settings
	target.Daemon
}

// Run does what is due now.
func (c *Fleet) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	conf, _, err := c.Load()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	keys, err := install.Keys(build.UpdateKeys)
	if err != nil {
		return err
	}
	i, err := c.find(build)
	if err != nil {
		return err
	}
	i.Models.Bundle, i.Models.Model = conf.Bundle, conf.Model
	d := c.Dial()
	defer d.Close()
	b := &fleet.Board{
		Installed: i, Allowed: conf.Update.FromCloud, Keys: keys, Now: time.Now,
		Try: func(a update.Attempt) error { return restart(i, a) },
		Offer: func(ctx context.Context) (fleet.Offer, error) {
			o, err := d.Offer(ctx)
			return fleet.Offer{Number: o.Number, Version: o.Version, URL: o.URL, From: o.From, Until: o.Until, Bundle: o.Bundle}, err
		},
	}
	return b.StepAndSay(ctx, out.Note)
}
