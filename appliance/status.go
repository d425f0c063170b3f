package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/term"

	"skerry/appliance/status"
)

type statusCmd struct {
	daemonFlags
	JSON  bool `name:"json" help:"As JSON; with --watch a line for each change."`
	Watch bool `short:"w" help:"Go on showing it: on a terminal the whole, elsewhere a line for each change."`
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

func (c *statusCmd) Run(ctx context.Context, out *console) error {
	d := c.dial()
	defer d.Close()
	s, err := d.Status(ctx)
	if err != nil {
		return err
	}
	switch {
	case c.Watch:
		return c.watch(ctx, out, d, s)
	case c.JSON:
		err = json.NewEncoder(out.stdout).Encode(s)
	default:
		err = status.Text(out.stdout, s, width(out))
	}
	if err == nil && degraded(s) {
		err = &exitCode{code: exitDegraded}
	}
	return err
}

// width of stdout in characters, 0 where it is no terminal.
func width(out *console) int {
	w, _, err := term.GetSize(int(out.stdout.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// degraded says whether the daemon does not do all that it is to do.
func degraded(s status.Status) bool {
	for _, p := range s.Health {
		if p.Severity != status.Notice {
			return true
		}
	}
	return s.State != status.Ready
}

// statusLine is the status in one line.
func statusLine(s status.Status) string {
	parts := []string{s.Time.Local().Format("15:04:05"), string(s.State)}
	if p := s.Progress; p != nil {
		parts = append(parts, p.What)
		if p.Share >= 0 {
			parts = append(parts, status.Percent(p.Share))
		}
	}
	if s.Mode != "" {
		parts = append(parts, s.Mode)
	}
	if s.Link.Wanted {
		link := "link " + s.Link.State
		if s.Link.Connected {
			link += " " + status.Millis(s.Link.RTTms)
		}
		parts = append(parts, link)
	}
	parts = append(parts, fmt.Sprintf("%.1f tokens/s", s.Tokens.Rate), fmt.Sprintf("%d running", s.Queue.Running))
	if s.Queue.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", s.Queue.Waiting))
	}
	for _, p := range s.Health {
		if p.Severity != status.Notice {
			parts = append(parts, p.Title)
		}
	}
	return printable(strings.Join(parts, "  "))
}
