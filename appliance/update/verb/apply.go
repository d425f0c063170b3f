package verb

import (
	"context"
	"errors"

	"skerry/appliance/cli"
	"skerry/appliance/status"
	"skerry/appliance/update"
	"skerry/appliance/update/install"
)

// Apply installs an update.
type Apply struct {
	Check          `embed:""`
	AllowDowngrade bool `help:"Install it though it is older than what is installed, or the same."`
	NoRestart      bool `help:"Leave the restart that tries it to you."`
}

// Run writes the update and has it tried.
func (c *Apply) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	i, err := c.find(build)
	if err != nil {
		return err
	}
	found, conf, err := c.look(ctx, build, i, c.AllowDowngrade)
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

// Rollback goes back to what was installed before.
type Rollback struct {
	Slots
	Bundle    bool `help:"Go back to the previous model bundle, not to the previous version of the program."`
	NoRestart bool `help:"Leave the restart that is needed to you."`
}

// Run goes back, and has what was there before be started.
func (c *Rollback) Run(ctx context.Context, out *cli.Console, build cli.Build) error {
	i, err := c.find(build)
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
