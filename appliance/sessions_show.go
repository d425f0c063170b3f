package main

import (
	"context"
	"fmt"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
)

type sessionsShowCmd struct {
	Session string `arg:"" help:"Show the session of this name." predictor:"session"`
	target.Daemon
	JSON bool `name:"json" help:"Print it as JSON, with the whole conversation."`
}

func (c *sessionsShowCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	s, err := d.Session(ctx, c.Session)
	if err != nil {
		return sessionError(c.Session, err)
	}
	if c.JSON {
		return out.JSON(s)
	}
	if err := cli.Facts(out.Stdout, s.Facts(time.Now())...); err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout)
	for _, m := range s.Messages {
		fmt.Fprintln(out.Stdout, admin.Gist(m))
	}
	return nil
}
