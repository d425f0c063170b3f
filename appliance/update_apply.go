package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/status"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
)

type updateApplyCmd struct {
	updateCheckCmd `embed:""`
	AllowDowngrade bool `help:"Install it though it is older than what is installed, or the same."`
	NoRestart      bool `help:"Leave the restart that tries it to you."`
}

func (c *updateApplyCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	found, conf, err := c.look(ctx, i, c.AllowDowngrade)
	if err != nil {
		return err
	}
	best, err := install.Best(found, conf.URL)
	if err != nil {
		return err
	}
	p := cli.NewProgress(out, "update to "+best.Manifest.Version.String())
	defer p.Done()
	a, err := i.Apply(ctx, best.Manifest, best.Source, p.Step)
	if err != nil {
		return install.Explain(err)
	}
	p.Done()
	return try(out, i, a, c.NoRestart)
}

// try has an attempt be made, or says how to.
func try(out *cli.Console, i *install.Installation, a update.Attempt, byHand bool) error {
	if byHand {
		out.Note("version %s is written: %s", a.Version, i.HowToTry(a))
		return nil
	}
	if err := restart(i, a); err != nil {
		return errors.New("version " + a.Version.String() + " is written and could not be started (" + status.OneLine(err) + "): " + i.HowToTry(a))
	}
	out.Note("version %s is started on trial: it stays once it was ready for two minutes and has answered a prompt; skerry update status shows it", a.Version)
	return nil
}

type updateRollbackCmd struct {
	installedFlags
	NoRestart bool `help:"Leave the restart that is needed to you."`
}

func (c *updateRollbackCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	a, again, err := i.Rollback(ctx)
	if err != nil {
		return install.Explain(err)
	}
	if !again {
		out.Note("the update is taken back before it was tried; version %s goes on", a.Version)
		return nil
	}
	return try(out, i, a, c.NoRestart)
}

type updateStartCmd struct{ installedFlags }

func (c *updateStartCmd) Run() error {
	i, err := (&installedFlags{install.BaseToStart(c.Base)}).find()
	if err == nil {
		_, err = i.Begin()
	}
	return err
}

type updateSeedCmd struct{ installedFlags }

func (c *updateSeedCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := (&installedFlags{cmp.Or(c.Base, install.Base)}).find()
	if err == nil {
		_, err = i.Seed(ctx)
	}
	if errors.Is(err, install.ErrLater) {
		out.Note("%v", err)
		return nil
	}
	return err
}

type updateWatchCmd struct {
	installedFlags
	daemonFlags
	Steady time.Duration `help:"Keep it once it was ready for so long." default:"${updateSteady}"`
}

func (c *updateWatchCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	d := c.dial()
	defer d.Close()
	for {
		s, err := i.Trial()
		if err != nil || s == nil {
			return err
		}
		want := s.Slots[s.Target].Version
		if s.Failing == "" {
			out.Note("version %s is on trial", want)
			kept, err := i.Watch(ctx, &admin.Probe{Client: d, Want: want.String(), Is: want.Built}, c.Steady)
			switch {
			case errors.Is(err, update.ErrTakenBack):
				return nil // by somebody, who restarts it
			case errors.Is(err, update.ErrOver):
				continue
			case err != nil:
				return err
			case kept:
				out.Note("version %s stays", want)
				return nil
			}
		}
		out.Note("version %s did not prove itself: the old one is started", want)
		return restart(i, update.Attempt{})
	}
}
