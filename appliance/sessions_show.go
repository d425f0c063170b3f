package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

type sessionsShowCmd struct {
	Session string `arg:"" help:"Show the session of this name." predictor:"session"`
	daemonFlags
	JSON bool `name:"json" help:"Print it as JSON, with the whole conversation."`
}

func (c *sessionsShowCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.dial()
	defer d.Close()
	s, err := d.Session(ctx, c.Session)
	if err != nil {
		return sessionError(c.Session, err)
	}
	if c.JSON {
		return json.NewEncoder(out.Stdout).Encode(s)
	}
	now := time.Now()
	kept := "no, it ends with its answer"
	if s.Kept {
		kept = "yes"
		if s.Bytes > 0 {
			kept += ", " + status.Bytes(s.Bytes)
		}
	}
	if err := cli.Facts(out.Stdout,
		[2]string{"session", s.ID},
		[2]string{"state", s.State + unfinishedText(s)},
		[2]string{"model", s.Model},
		[2]string{"mode", s.Mode},
		[2]string{"client", s.Client},
		[2]string{"tokens", fmt.Sprint(s.Tokens)},
		[2]string{"kept", kept},
		[2]string{"begun", cli.Since(s.Created, now)},
		[2]string{"last used", cli.Since(s.Updated, now)},
	); err != nil {
		return err
	}
	fmt.Fprintln(out.Stdout)
	for _, m := range s.Messages {
		fmt.Fprintf(out.Stdout, "%-10s %s\n", status.Printable(m.Role)+":", gist(m))
	}
	return nil
}

func unfinishedText(s admin.Session) string {
	if s.Unfinished && s.State != "decoding" {
		return ", with an answer that is not finished"
	}
	return ""
}

// gistLength is how much of a message sessions show shows, in characters.
const gistLength = 64

// gist is a message in one line.
func gist(m infer.Message) string {
	text := strings.Join(strings.Fields(m.Content), " ")
	for _, c := range m.ToolCalls {
		text += fmt.Sprintf(" [calls %s(%s)]", c.Name, c.Arguments)
	}
	if r := []rune(text); len(r) > gistLength {
		text = strings.TrimSpace(string(r[:gistLength-1])) + "…"
	}
	return status.Printable(strings.TrimSpace(text))
}
