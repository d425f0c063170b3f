package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

type statusCmd struct {
	target.Daemon
	JSON  bool `name:"json" help:"Print it as JSON; with --watch that is a line for each change."`
	Watch bool `short:"w" help:"Go on showing it. On a terminal that is the whole, elsewhere a line for each change."`
}

// Help is shown above the flags.
func (c *statusCmd) Help() string {
	return `Examples:
  skerry status                             how the board, its model and its
                                            link are, and what to do about it
  skerry status --watch                     the same, live
  skerry status --json | jq .link.state     for a program
  until skerry status >/dev/null; do sleep 1; done
                                            wait until it answers

Exit codes: 0 all is well, 3 the daemon is not running, 4 it is not ready yet, or
something is wrong that the status names.
`
}

func (c *statusCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	s, err := d.Status(ctx)
	if err != nil {
		return err
	}
	switch {
	case c.Watch:
		return c.watch(ctx, out, d, s)
	case c.JSON:
		err = out.JSON(s)
	default:
		err = status.Text(out.Stdout, s, out.Width())
	}
	if err == nil && s.Degraded() {
		err = &cli.CodeError{Code: cli.ExitDegraded}
	}
	return err
}
