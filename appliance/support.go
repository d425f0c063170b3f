package main

import (
	"context"
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/doctor"
	"skerry/appliance/status"
)

type supportBundleCmd struct {
	daemonFlags
	settingsFlags
	Output string `short:"o" help:"Write the archive to this file, or to stdout with -. Without it that is skerry-support-HOST-TIME.tar.gz here." placeholder:"FILE"`
}

// Help is shown above the flags.
func (c *supportBundleCmd) Help() string {
	return `It packs status, log, settings, versions, what the doctor finds, the link's last hour
and the sizes of files. Keys, certificates, tickets, prompts and answers stay here;
sessions are numbered, not named. Read it before you send it.

Examples:
  skerry support-bundle                     for a report of a problem
  skerry support-bundle -o /tmp/b.tar.gz && tar tzf /tmp/b.tar.gz
  sudo skerry support-bundle                with what this user may not read
`
}

func (c *supportBundleCmd) Run(ctx context.Context, out *cli.Console) error {
	d, err := newDoctor(c.daemonFlags, c.settingsFlags)
	if err != nil {
		return err
	}
	defer d.Close()
	b := d.Support(ctx, newVersionReport())
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Output == "-" {
		if err := b.Write(out.Stdout); err != nil {
			return err
		}
		listSupport(out, b)
		return nil
	}
	path := c.Output
	if path == "" {
		path = b.Name()
	}
	if err := cli.WriteFile(path, b.Write); err != nil {
		return fmt.Errorf("%w (give -o FILE in a directory that this user may write)", err)
	}
	listSupport(out, b)
	fmt.Fprintln(out.Stdout, path)
	return nil
}

// listSupport says what is inside.
func listSupport(out *cli.Console, b *doctor.SupportBundle) {
	out.Note("Inside:")
	for _, f := range b.Files {
		out.Note("  %-16s %8s  %s", f.Name, status.Bytes(len(f.Data)), f.What)
	}
	out.Note("No keys, certificates, tickets, prompts or answers; look before you send it.")
}
