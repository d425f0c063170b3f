package verb

import (
	"cmp"
	"context"
	"errors"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
)

// Start chooses what the service starts; its unit calls it.
type Start struct{ Slots }

// Run begins the attempt that waits, if one does.
func (c *Start) Run(build cli.Build) error {
	i, err := (&Slots{install.BaseToStart(c.Base)}).find(build)
	if err == nil {
		_, err = i.Begin()
	}
	return err
}

// Seed has the service start what the package has brought; the package calls it.
type Seed struct{ Slots }

// Run takes in what the package has brought.
func (c *Seed) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	i, err := (&Slots{cmp.Or(c.Base, install.Base)}).find(build)
	if err == nil {
		_, err = i.Seed(ctx)
	}
	if errors.Is(err, install.ErrLater) {
		out.Note("%v", err)
		return nil
	}
	return err
}

// Watch sees a version on trial through; a unit calls it.
type Watch struct {
	Slots
	target.Daemon
	Steady time.Duration `help:"Keep it once it was ready for so long." default:"${updateSteady}"`
}

// Run watches until the version is kept or not, and starts the old one where it is not.
func (c *Watch) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	i, err := c.find(build)
	if err != nil {
		return err
	}
	d := c.Dial()
	defer d.Close()
	failed, of, err := i.Watch(ctx, install.Trials{
		Program: func(v manifest.Version) update.Probe { return &admin.Probe{Client: d, Want: v.String(), Is: v.Built} },
		Bundle:  func(id string) update.Probe { return &admin.BundleProbe{Client: d, ID: id} },
		Steady:  c.Steady, Note: out.Note,
	})
	if err != nil || !failed {
		return err
	}
	return restart(i, of)
}
