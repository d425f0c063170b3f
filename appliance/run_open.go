package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/admin"
	"skerry/appliance/chat/template"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/appliance/status"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// This file finds who answers a run: in a session the daemon that has the state directory,
// else a board that is opened in this process.

// backend answers, and knows the sessions.
type backend interface {
	infer.Asker
	// Session in full, or admin.ErrNotFound.
	Session(ctx context.Context, id string) (admin.Session, error)
	// Cancel ends the answer under way in a session, for good and as it is.
	Cancel(ctx context.Context, session string) error
}

func (r *conversation) onClose(f func() error) { r.closers = append(r.closers, f) }

func (r *conversation) close() (err error) {
	for _, f := range slices.Backward(r.closers) {
		err = errors.Join(err, f())
	}
	return err
}

func (r *conversation) open(ctx context.Context) error {
	quiet := r.JSON || r.Events
	if r.Session != "" {
		state, err := config.StateDir(r.State)
		if err != nil {
			return err
		}
		if d, model := admin.DialOwner(ctx, config.DatabasePath(state), admin.Sockets("", state)); d != nil {
			r.onClose(func() error { d.Close(); return nil })
			if flags := r.notTheDaemons(); len(flags) > 0 {
				return cli.Usagef("a daemon runs with this state directory and answers in session %s: leave out %s, or stop it", r.Session, strings.Join(flags, ", "))
			}
			r.from, r.model, r.view = d, model, cli.NewTokenPrinter(r.out, decode.SpecOf(r.opt.Mode).Sources, quiet)
			return nil
		}
	}
	if err := r.openBoard(ctx); err != nil {
		return err
	}
	r.view = cli.NewTokenPrinter(r.out, decode.SpecOf(r.opt.Mode).Sources, quiet)
	for _, note := range r.board.Notes(quiet) {
		r.out.Note("%s", note)
	}
	return nil
}

// notTheDaemons are the flags that ask for something that a daemon decides for itself.
func (c *runCmd) notTheDaemons() (flags []string) {
	for flag, set := range map[string]bool{
		"--cloud": c.Cloud != "", "--link": c.Link != "", "--bundle": c.Bundle != "", "--threshold": c.Threshold != nil, "--eager": c.Eager, "--draft": c.Draft != string(infer.DraftAuto),
		"--max-token-latency": c.MaxTokenLatency > 0, "--ignore-end": c.IgnoreEnd, "--raw": c.Raw, "--on-loss": c.OnLoss != string(infer.GoAlone),
		"--encoding": c.Encoding != "f32", "--monthly-mb": c.MonthlyMB > 0, "--exit-policy": c.ExitPolicy != "",
	} {
		if set {
			flags = append(flags, flag)
		}
	}
	slices.Sort(flags)
	return flags
}

// openBoard opens a board in this process, with a cloud of its own on loopback where the
// mode wants one and none is known.
func (r *conversation) openBoard(ctx context.Context) error {
	if engine.Init("").Baseline() {
		r.out.Note("%s", node.BaselineWarning)
	}
	dir, err := givenBundle(ctx, r.out, r.Bundle, r.Split)
	if err != nil {
		return err
	}
	o := node.OpenOptions{Config: r.config(dir), Defaults: r.opt, Version: version, Session: r.Session, Emulated: r.Link, Seed: r.Seed}
	if decode.NeedsCloud(r.opt.Mode) && r.Cloud == "" {
		if err := r.localCloud(dir, &o); err != nil {
			return err
		}
	}
	if r.board, err = node.Open(ctx, o); err != nil {
		return r.explain(err)
	}
	r.onClose(r.board.Close)
	r.from, r.model = r.board, r.board.Model().Name
	if _, err := template.New(r.board.Model().Template, "", ""); err != nil && !r.Raw {
		return err
	}
	aside, err := r.board.Database()
	if aside != "" {
		r.out.Note("skerry: the database was damaged and is set aside as %s; what is whole of it was kept", aside)
	}
	if err != nil && r.MonthlyMB > 0 {
		r.out.Note("skerry: --monthly-mb counts this run alone: %s", status.OneLine(err))
	}
	alone, err := r.board.AwaitCloud(ctx)
	if alone != "" {
		r.out.Note("skerry: %s", alone)
		r.degraded, r.saidLost = true, true
	}
	return r.explain(err)
}

// config is that of a board for one conversation.
func (c *runCmd) config(bundle string) config.Config {
	conf := config.Default()
	conf.State, conf.Bundle, conf.Mode, conf.OnLoss, conf.Durability, conf.Draft = c.State, bundle, c.Mode, c.OnLoss, c.Durability, c.Draft
	conf.Context, conf.Parallel, conf.Threads, conf.Queue, conf.Cache = c.Context, 1, c.Threads, 0, 0
	conf.Cloud = config.Cloud{Address: c.Cloud, Encoding: c.Encoding, MonthlyMB: int(c.MonthlyMB)}
	return conf
}

// localCloud starts a cloud partition, which loads while the board does, unless the board is
// enrolled with one.
func (r *conversation) localCloud(bundle string, o *node.OpenOptions) error {
	state, err := config.StateDir(r.State)
	if err != nil {
		return err
	}
	if clouds, err := node.Clouds(state); err != nil || len(clouds) > 0 {
		return err
	}
	if o.LocalState, err = r.stateOfLocal(state); err != nil {
		return err
	}
	if r.local, err = startLocalCloud(r.runCmd, o.LocalState, bundle); err != nil {
		return err
	}
	r.onClose(func() error { r.local.stop(); return nil })
	o.Local = r.local.address
	return nil
}

// explain says in the words of the flags why the board could not be opened.
func (c *runCmd) explain(err error) error {
	if half := new(node.HalfSpentError); errors.As(err, &half) {
		return fmt.Errorf("half of the month's %d MB are spent, and exact hidden states (f32) are refused from there on: give --encoding %s, or raise --monthly-mb", half.MonthlyMB, wire.LossyNames())
	}
	if errors.Is(err, batch.ErrMemory) { // in whose words it is a setting
		return errors.New(strings.Replace(err.Error(), "set context to ", "give --context ", 1))
	}
	if errors.Is(err, storage.ErrLocked) {
		state, _ := config.StateDir(c.State)
		return fmt.Errorf("session %s is in the database of another skerry, which answers at none of %s: set SKERRY_SOCKET to its socket, wait for it to end, or give --state another", c.Session, strings.Join(admin.Sockets("", state), ", "))
	}
	return err
}
