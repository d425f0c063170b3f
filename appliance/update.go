package main

import (
	"context"
	"fmt"
	"syscall"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/systemd"
)

// updateKeys are the public keys, as minisign prints them and with spaces between, that
// may sign updates. The linker sets them.
var updateKeys string

type updateCmd struct {
	Check    updateCheckCmd    `cmd:"" help:"Look for updates at the configured address and on USB sticks."`
	Apply    updateApplyCmd    `cmd:"" help:"Install an update, and try it at once: it stays only if it works."`
	Rollback updateRollbackCmd `cmd:"" help:"Go back to the previous version."`
	Status   updateStatusCmd   `cmd:"" help:"Show what is installed, and how the last update ended."`
	Clear    updateClearCmd    `cmd:"" help:"Forget that the last update did not stick, so that it is no problem any more."`

	Start updateStartCmd `cmd:"" hidden:"" help:"Choose what the service starts; its unit calls this."`
	Seed  updateSeedCmd  `cmd:"" hidden:"" help:"Have the service start what the package has brought; the package calls this."`
	Fleet updateFleetCmd `cmd:"" hidden:"" help:"Install what the cloud offers, if it is time; a timer calls this."`
	Watch updateWatchCmd `cmd:"" hidden:"" help:"Watch a version on trial until it is kept or not; a unit calls this."`
}

// Help is shown above the commands.
func (c *updateCmd) Help() string {
	return `An update is a directory or a file whose manifest is signed; one that is not signed
by a key in /etc/skerry/update.pub is never applied. It is written beside the
version that runs, and tried once: it stays after two minutes in which it was ready,
and one answered prompt. Otherwise the old version comes back, and skerry status
says why. A model bundle is updated in the same way, apart from the program: it stays
once it has answered a prompt.

Examples:
  skerry update check                       what there is, and for which board
  sudo skerry update apply                  the newest of that
  sudo skerry update apply /media/stick/skerry-1.3.0
  sudo skerry update apply https://example.org/skerry/arm64/
  sudo skerry update rollback               the version before
  sudo skerry update rollback --bundle      the model bundle before
  skerry update status                      what runs, and whether on trial
`
}

// installedFlags say where the slots are.
type installedFlags struct {
	Base string `help:"Use the slots in this directory instead of those of the package or the image." placeholder:"DIR" type:"path"`
}

// find has what is written be readable for all, as the daemon runs as a user of its own.
func (f *installedFlags) find() (*install.Installation, error) {
	syscall.Umask(0o022)
	return install.Find(version, f.Base)
}

type updateCheckCmd struct {
	installedFlags
	settingsFlags
	At   string `arg:"" optional:"" help:"Look at this directory, file or URL only." placeholder:"FILE|URL"`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// look finds updates: the one that is named, else those of the configuration.
func (c *updateCheckCmd) look(ctx context.Context, i *install.Installation, allowDowngrade bool) ([]install.Candidate, config.Update, error) {
	conf, _, err := c.load()
	if err != nil {
		return nil, conf.Update, cli.Usagef("%w", err)
	}
	keys, err := install.Keys(updateKeys)
	if err != nil {
		return nil, conf.Update, err
	}
	i.Models.Bundle, i.Models.Model = conf.Bundle, conf.Model
	found, err := i.LookForAll(ctx, i.Policy(keys, allowDowngrade), install.Where(c.At, conf.Update.Media, conf.Update.URL)...)
	return found, conf.Update, err
}

func (c *updateCheckCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	found, conf, err := c.look(ctx, i, false)
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

type updateStatusCmd struct {
	installedFlags
	JSON bool `name:"json" help:"Print the status as JSON."`
}

func (c *updateStatusCmd) Run(out *cli.Console) error {
	i, err := c.find()
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

type updateClearCmd struct{ installedFlags }

func (c *updateClearCmd) Run() error {
	i, err := c.find()
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
