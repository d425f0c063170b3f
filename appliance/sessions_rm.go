package main

import (
	"context"
	"errors"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

type sessionsRmCmd struct {
	Sessions []string `arg:"" optional:"" name:"session" help:"Forget the sessions of these names." predictor:"session"`
	All      bool     `help:"Forget all that are not being answered."`
	target.Daemon
}

func (c *sessionsRmCmd) Run(ctx context.Context, out *cli.Console) error {
	if c.All == (len(c.Sessions) > 0) {
		return cli.Usagef("give the names of sessions, or --all")
	}
	d := c.Dial()
	defer d.Close()
	ids := c.Sessions
	if c.All {
		list, err := d.Sessions(ctx)
		if err != nil {
			return err
		}
		for _, s := range list {
			ids = append(ids, s.ID)
		}
	}
	var gone int
	for _, id := range ids {
		err := d.Delete(ctx, id)
		switch {
		case err == nil:
			gone++
		case c.All && errors.Is(err, admin.ErrNotFound): // it has gone by itself
		case c.All && errors.Is(err, admin.ErrConflict):
			out.Note("%s is being answered and stays", status.Printable(id))
		default:
			return sessionError(id, err)
		}
	}
	out.Note("forgot %s", status.Plural(gone, "session"))
	return nil
}
