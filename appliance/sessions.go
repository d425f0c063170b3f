package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

type sessionsCmd struct {
	Ls     sessionsLsCmd     `cmd:"" aliases:"list" default:"withargs" help:"List the sessions, the newest first."`
	Show   sessionsShowCmd   `cmd:"" help:"Show one and the gist of its conversation."`
	Rm     sessionsRmCmd     `cmd:"" help:"Forget sessions."`
	Export sessionsExportCmd `cmd:"" help:"Write a whole conversation to a file or stdout."`
}

// Help is shown above the commands.
func (c *sessionsCmd) Help() string {
	return `Examples:
  skerry sessions                           what the daemon remembers
  skerry sessions show trip                 one of them
  skerry sessions export trip --format markdown -o trip.md
                                            the whole conversation
  skerry sessions rm trip                   forget it
  skerry sessions rm --all                  forget everything
`
}

type sessionsLsCmd struct {
	target.Daemon
	JSON bool `name:"json" help:"Print the result as JSON."`
}

func (c *sessionsLsCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	list, err := d.Sessions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []status.Session{}
		}
		return out.JSON(list)
	}
	if len(list) == 0 {
		out.Note("no sessions: a request that names one, as with the header X-Skerry-Session, is kept")
		return nil
	}
	return cli.Table(out.Stdout, status.SessionTable(list, time.Now())...)
}

// sessionError says where to look for the name of a session that there is not.
func sessionError(id string, err error) error {
	if errors.Is(err, admin.ErrNotFound) {
		return fmt.Errorf("no session %q: `skerry sessions` lists them", id)
	}
	return err
}
