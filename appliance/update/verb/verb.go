// Package verb has the verbs of skerry update: each parses, calls package install or fleet, and
// prints.
package verb

import (
	"context"
	"fmt"
	"syscall"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/config"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/systemd"
)

// Slots is where the slots are.
type Slots struct {
	Base string `help:"Use the slots in this directory instead of those of the package or the image." placeholder:"DIR" type:"path"`
}

// find has what is written be readable for all, as the daemon runs as a user of its own.
func (f *Slots) find(build cli.Build) (*install.Installation, error) {
	syscall.Umask(0o022)
	return install.Find(build.Version, f.Base)
}

// Check looks for updates.
type Check struct {
	Slots
	target.Settings
	At   string `arg:"" optional:"" help:"Look at this directory, file or URL only." placeholder:"FILE|URL"`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// look finds updates: the one that is named, else those of the configuration.
func (c *Check) look(ctx context.Context, build cli.Build, i *install.Installation, allowDowngrade bool) ([]install.Candidate, config.Update, error) {
	conf, _, err := c.Load()
	if err != nil {
		return nil, conf.Update, cli.Usagef("%w", err)
	}
	keys, err := install.Keys(build.UpdateKeys)
	if err != nil {
		return nil, conf.Update, err
	}
	i.Models.Bundle, i.Models.Model = conf.Bundle, conf.Model
	found, err := i.LookForAll(ctx, i.Policy(keys, allowDowngrade), install.Where(c.At, conf.Update.Media, conf.Update.URL)...)
	return found, conf.Update, err
}

// Run lists the updates that there are.
func (c *Check) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	i, err := c.find(build)
	if err != nil {
		return err
	}
	found, conf, err := c.look(ctx, build, i, false)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(install.Report(found))
	}
	for _, r := range install.Report(found) {
		fmt.Fprintln(out.Stdout, r)
	}
	if len(found) == 0 {
		out.Note("%s", install.NothingAt(conf.URL))
	} else if best := install.Newest(found); best != nil {
		out.Note("to install it: sudo skerry update apply %s", best.At)
	}
	return nil
}

// Status shows what is installed.
type Status struct {
	Slots
	JSON bool `name:"json" help:"Print the status as JSON."`
}

// Run shows it.
func (c *Status) Run(out *cli.Console, build cli.Build) error {
	i, err := c.find(build)
	if err != nil {
		return err
	}
	s, err := i.Report()
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(s)
	}
	return cli.Facts(out.Stdout, s.Facts()...)
}

// Clear forgets that an update did not stick.
type Clear struct{ Slots }

// Run forgets it.
func (c *Clear) Run(build cli.Build) error {
	i, err := c.find(build)
	if err != nil {
		return err
	}
	return i.Forget()
}

// restart has what is to be tried be started: a system by a reboot, else by a restart of the
// service.
func restart(i *install.Installation, a update.Attempt) error {
	if i.Whole() && !a.Bundle {
		return systemd.RebootWith(a.Reboot)
	}
	return systemd.RestartUnit(install.Unit)
}
