package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// watch shows the status until ctx is done, which is no error, or nobody reads it: as JSON,
// as a line for each change, or on a terminal as a whole, which is s at first.
func (c *statusCmd) watch(ctx context.Context, out *cli.Console, d *admin.Client, s status.Status) error {
	lost := func(err error) { out.Note("skerry: %s", status.OneLine(err)) }
	if c.JSON {
		e := json.NewEncoder(out.Stdout)
		return d.FollowStatus(ctx, func(s status.Status) error { return e.Encode(s) }, lost)
	}
	if !term.IsTerminal(int(out.Stdout.Fd())) || os.Getenv("TERM") == "dumb" {
		var last string
		return d.FollowStatus(ctx, func(s status.Status) (err error) {
			line := status.Line(s)
			_, what, _ := strings.Cut(line, " ")
			if what != last {
				_, err = fmt.Fprintln(out.Stdout, line)
			}
			last = what
			return err
		}, lost)
	}
	var wrong error
	screen := cli.OpenScreen(out, func(w, h int) []byte { return status.Screen(s, wrong, w, h) })
	defer screen.Close()
	return d.FollowStatus(ctx,
		func(now status.Status) error { return screen.Repaint(func() { s, wrong = now, nil }) },
		func(err error) { screen.Repaint(func() { wrong = err }) })
}
