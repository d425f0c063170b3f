package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	ans "skerry/appliance/answer"
	"skerry/appliance/control"
	"skerry/appliance/status"
)

type sessionsCmd struct {
	Ls     sessionsLsCmd     `cmd:"" default:"withargs" help:"List the sessions, the newest first."`
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
	daemonFlags
	JSON bool `name:"json" help:"As JSON."`
}

func (c *sessionsLsCmd) Run(ctx context.Context, out *console) error {
	d := c.dial()
	defer d.Close()
	list, err := d.Sessions(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []status.Session{}
		}
		return json.NewEncoder(out.stdout).Encode(list)
	}
	if len(list) == 0 {
		out.note("no sessions: a request that names one, as with the header X-Skerry-Session, is kept")
		return nil
	}
	rows := [][]string{{"SESSION", "STATE", "TOKENS", "KEPT", "MODE", "CLIENT", "LAST USED"}}
	now := time.Now()
	for _, s := range list {
		rows = append(rows, []string{s.ID, s.State, fmt.Sprint(s.Tokens), yesNo(s.Kept), s.Mode, s.Client, since(s.Updated, now)})
	}
	return table(out.stdout, rows...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type sessionsShowCmd struct {
	Session string `arg:"" help:"Its name." predictor:"session"`
	daemonFlags
	JSON bool `name:"json" help:"As JSON, with the whole conversation."`
}

func (c *sessionsShowCmd) Run(ctx context.Context, out *console) error {
	d := c.dial()
	defer d.Close()
	s, err := d.Session(ctx, c.Session)
	if err != nil {
		return sessionError(c.Session, err)
	}
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(s)
	}
	now := time.Now()
	kept := "no, it ends with its answer"
	if s.Kept {
		kept = "yes"
		if s.Bytes > 0 {
			kept += ", " + status.Bytes(s.Bytes)
		}
	}
	if err := facts(out.stdout,
		[2]string{"session", s.ID},
		[2]string{"state", s.State + unfinishedText(s)},
		[2]string{"model", s.Model},
		[2]string{"mode", s.Mode},
		[2]string{"client", s.Client},
		[2]string{"tokens", fmt.Sprint(s.Tokens)},
		[2]string{"kept", kept},
		[2]string{"begun", since(s.Created, now)},
		[2]string{"last used", since(s.Updated, now)},
	); err != nil {
		return err
	}
	fmt.Fprintln(out.stdout)
	for _, m := range s.Messages {
		fmt.Fprintf(out.stdout, "%-10s %s\n", printable(m.Role)+":", gist(m))
	}
	return nil
}

func unfinishedText(s control.Session) string {
	if s.Unfinished && s.State != "decoding" {
		return ", with an answer that is not finished"
	}
	return ""
}

// gistLength is how much of a message sessions show shows, in characters.
const gistLength = 64

// gist is a message in one line.
func gist(m ans.Message) string {
	text := strings.Join(strings.Fields(m.Content), " ")
	for _, c := range m.ToolCalls {
		text += fmt.Sprintf(" [calls %s(%s)]", c.Name, c.Arguments)
	}
	if r := []rune(text); len(r) > gistLength {
		text = strings.TrimSpace(string(r[:gistLength-1])) + "…"
	}
	return printable(strings.TrimSpace(text))
}

// sessionError says where to look for the name of a session that there is not.
func sessionError(id string, err error) error {
	if errors.Is(err, control.ErrNotFound) {
		return fmt.Errorf("no session %q: `skerry sessions` lists them", id)
	}
	return err
}

type sessionsRmCmd struct {
	Sessions []string `arg:"" optional:"" name:"session" help:"Their names." predictor:"session"`
	All      bool     `help:"All that are not being answered."`
	daemonFlags
}

func (c *sessionsRmCmd) Run(ctx context.Context, out *console) error {
	if c.All == (len(c.Sessions) > 0) {
		return usageError("give the names of sessions, or --all")
	}
	d := c.dial()
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
		case c.All && errors.Is(err, control.ErrNotFound): // it has gone by itself
		case c.All && errors.Is(err, control.ErrConflict):
			out.note("%s is being answered and stays", printable(id))
		default:
			return sessionError(id, err)
		}
	}
	out.note("forgot %s", count(gone, "session"))
	return nil
}

type sessionsExportCmd struct {
	Session string `arg:"" help:"Its name." predictor:"session"`
	Format  string `help:"jsonl (a line for the session, one for each message) or markdown." default:"jsonl" enum:"jsonl,markdown"`
	Output  string `short:"o" help:"The file; default stdout." placeholder:"FILE" type:"path"`
	daemonFlags
}

func (c *sessionsExportCmd) Run(ctx context.Context, out *console) error {
	d := c.dial()
	defer d.Close()
	export := func(w io.Writer) error {
		return sessionError(c.Session, d.Export(ctx, c.Session, control.Format(c.Format), w))
	}
	if c.Output == "" {
		return export(out.stdout)
	}
	f, err := renameio.NewPendingFile(c.Output, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := export(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
