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
	"skerry/appliance/update/manifest"
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
	what := install.What(a)
	if byHand {
		out.Note("%s is written: %s", what, i.HowToTry(a))
		return nil
	}
	if err := restart(i, a); err != nil {
		return errors.New(what + " is written and could not be started (" + status.OneLine(err) + "): " + i.HowToTry(a))
	}
	out.Note("%s is started on trial: %s; skerry update status shows it", what, install.Rule(a))
	return nil
}

type updateRollbackCmd struct {
	installedFlags
	Bundle    bool `help:"Go back to the previous model bundle, not to the previous version of the program."`
	NoRestart bool `help:"Leave the restart that is needed to you."`
}

func (c *updateRollbackCmd) Run(ctx context.Context, out *cli.Console) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	a, again, err := i.GoBack(ctx, c.Bundle)
	if err != nil {
		return install.Explain(err)
	}
	if !again {
		out.Note("the update is taken back before it was tried; %s goes on", install.What(a))
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
