package main

import (
	"context"
	"io"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
)

type sessionsExportCmd struct {
	Session string `arg:"" help:"Write the session of this name." predictor:"session"`
	Format  string `help:"Write jsonl (a line for the session, and one for each message) or markdown." default:"jsonl" enum:"jsonl,markdown"`
	Output  string `short:"o" help:"Write to this file instead of stdout." placeholder:"FILE" type:"path"`
	target.Daemon
}

func (c *sessionsExportCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	export := func(w io.Writer) error {
		return sessionError(c.Session, d.Export(ctx, c.Session, admin.Format(c.Format), w))
	}
	if c.Output == "" {
		return export(out.Stdout)
	}
	return cli.WriteFile(c.Output, export)
}
