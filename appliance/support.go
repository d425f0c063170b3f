package main

import (
	"cmp"
	"context"
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
)

type supportBundleCmd struct {
	target.Daemon
	target.Settings
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
	d, err := newDoctor(c.Daemon, c.Settings)
	if err != nil {
		return err
	}
	defer d.Close()
	b := d.Support(ctx, newVersionReport())
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Output == "-" {
		err = b.Write(out.Stdout)
	} else if err = cli.WriteFile(cmp.Or(c.Output, b.Name()), b.Write); err != nil {
		err = fmt.Errorf("%w (give -o FILE in a directory that this user may write)", err)
	}
	if err != nil {
		return err
	}
	out.Note("%s", b.Contents())
	if c.Output != "-" {
		fmt.Fprintln(out.Stdout, cmp.Or(c.Output, b.Name()))
	}
	return nil
}
