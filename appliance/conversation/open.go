package conversation

import (
	"context"
	"strings"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/choose"
	"skerry/appliance/chat/template"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/appliance/status"
)

// This file finds who answers: in a session the daemon that has the state directory,
// else a board that is opened in this process.

// backend answers, and knows the sessions.
type backend interface {
	infer.Asker
	// Session in full, or admin.ErrNotFound.
	Session(ctx context.Context, id string) (admin.Session, error)
	// Cancel ends the answer under way in a session, for good and as it is.
	Cancel(ctx context.Context, session string) error
}

// Open makes the conversation ready to be asked in. It has to be closed, whatever comes of this.
func (c *Conversation) Open(ctx context.Context) error {
	quiet := c.JSON || c.Events
	if c.Session != "" {
		state, err := config.StateDir(c.State)
		if err != nil {
			return err
		}
		if d, model := admin.DialOwner(ctx, config.DatabasePath(state), admin.Sockets("", state)); d != nil {
			c.onClose(func() error { d.Close(); return nil })
			if flags := c.notTheDaemons(); len(flags) > 0 {
				return cli.Usagef("a daemon runs with this state directory and answers in session %s: leave out %s, or stop it", c.Session, strings.Join(flags, ", "))
			}
			c.from, c.model, c.view = d, model, cli.NewTokenPrinter(c.out, decode.SpecOf(c.opt.Mode).Sources, quiet)
			return nil
		}
	}
	if err := c.openBoard(ctx); err != nil {
		return err
	}
	c.view = cli.NewTokenPrinter(c.out, decode.SpecOf(c.opt.Mode).Sources, quiet)
	for _, note := range c.board.Notes(quiet) {
		c.out.Note("%s", note)
	}
	return nil
}

// openBoard opens a board in this process, with a cloud of its own on loopback where the
// mode wants one and none is known.
func (c *Conversation) openBoard(ctx context.Context) error {
	for _, note := range node.KernelNotes(c.State, c.GPULayers) {
		c.out.Note("%s", note)
	}
	engine.WhenLost(func(not string) { c.out.Note("skerry: %s", not) })
	dir, err := choose.Bundle(ctx, c.out, c.Bundle, c.Split)
	if err != nil {
		return err
	}
	o := node.OpenOptions{Config: c.config(dir), Defaults: c.opt, Version: c.version, Session: c.Session, Emulated: c.Link, Seed: c.Seed}
	if decode.NeedsCloud(c.opt.Mode) && c.Cloud == "" {
		if err := c.localCloud(dir, &o); err != nil {
			return err
		}
	}
	if c.board, err = node.Open(ctx, o); err != nil {
		return c.explain(err)
	}
	c.onClose(c.board.Close)
	c.from, c.model = c.board, c.board.Model().Name
	if _, err := template.New(c.board.Model().Template, "", ""); err != nil && !c.Raw {
		return err
	}
	aside, err := c.board.Database()
	if aside != "" {
		c.out.Note("skerry: the database was damaged and is set aside as %s; what is whole of it was kept", aside)
	}
	if err != nil && c.MonthlyMB > 0 {
		c.out.Note("skerry: --monthly-mb counts this run alone: %s", status.OneLine(err))
	}
	alone, err := c.board.AwaitCloud(ctx)
	if alone != "" {
		c.out.Note("skerry: %s", alone)
		c.degraded, c.saidLost = true, true
	}
	return c.explain(err)
}

// localCloud starts a cloud partition, which loads while the board does, unless the board is
// enrolled with one.
func (c *Conversation) localCloud(bundle string, o *node.OpenOptions) error {
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	if clouds, err := node.Clouds(state); err != nil || len(clouds) > 0 {
		return err
	}
	if o.LocalState, err = c.stateOfLocal(state); err != nil {
		return err
	}
	if c.local, err = startLocalCloud(&c.Flags, o.LocalState, bundle); err != nil {
		return err
	}
	c.onClose(func() error { c.local.stop(); return nil })
	o.Local = c.local.address
	return nil
}
