package main

import (
	"context"
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

type linkStatusCmd struct {
	target.Daemon
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *linkStatusCmd) Help() string {
	return `Examples:
  skerry link status                        the link now, and its last hour
  skerry link status --json | jq .rtt_ms
  skerry link test                          which part of it fails

Exit codes: 0 it is up, or none is wanted; 4 it is down, or the cloud refuses.
`
}

func (c *linkStatusCmd) Run(ctx context.Context, out *cli.Console) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = out.JSON(s.Link)
	} else {
		err = printLink(out, s)
	}
	if err == nil && s.Link.InTrouble() {
		err = &cli.CodeError{Code: cli.ExitDegraded}
	}
	return err
}

func printLink(out *cli.Console, s status.Status) error {
	facts := status.LinkFacts(s)
	if len(facts) == 0 {
		fmt.Fprintln(out.Stdout, "no cloud is configured: this board answers alone")
		out.Note("skerry enroll CODE makes it known to one")
		return nil
	}
	if err := cli.Facts(out.Stdout, facts...); err != nil {
		return err
	}
	if len(s.Link.Hour) > 0 {
		fmt.Fprintln(out.Stdout, "             "+status.MarksLegend)
	}
	return nil
}

type linkRetryCmd struct{ target.Daemon }

// Help is shown above the flags.
func (c *linkRetryCmd) Help() string {
	return `Examples:
  skerry link retry                         dial the cloud now, as after the
                                            network is back
`
}

func (c *linkRetryCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	if err := d.RetryLink(ctx); err != nil {
		return err
	}
	out.Note("the cloud is being dialled: skerry link status shows what came of it")
	return nil
}
