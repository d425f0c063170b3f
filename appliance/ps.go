package main

import (
	"context"
	"fmt"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

type psCmd struct {
	target.Daemon
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *psCmd) Help() string {
	return `Examples:
  skerry ps                                 what is loaded, and who is served
  skerry ps --json | jq .requests           the same for a program
`
}

func (c *psCmd) Run(ctx context.Context, out *cli.Console) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(s.Work())
	}
	return printWork(out, s.Work(), s.Time)
}

func printWork(out *cli.Console, w status.Work, now time.Time) error {
	if len(w.Models) == 0 {
		out.Note("no model is loaded: the daemon is %s (skerry status says more)", w.State)
	} else if err := cli.Table(out.Stdout, w.ModelTable(now)...); err != nil {
		return err
	}
	if len(w.Requests) > 0 {
		fmt.Fprintln(out.Stdout)
		if err := cli.Table(out.Stdout, w.RequestTable(now)...); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.Stdout, "\n%d running, %d of %d waiting, %d refused since the start\n", w.Queue.Running, w.Queue.Waiting, w.Queue.Limit, w.Queue.Refused)
	return nil
}
