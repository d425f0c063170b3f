package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/library/remote"
)

type modelRmCmd struct {
	daemonFlags
	Names []string `arg:"" name:"name" help:"Remove these models, by names that skerry model ls lists."`
}

func (c *modelRmCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.dial()
	defer d.Close()
	for _, name := range c.Names {
		said, err := remote.Remove(ctx, d, name)
		if err != nil {
			return err
		}
		out.Note("%s", said)
	}
	return nil
}

type modelCpCmd struct {
	daemonFlags
	From string `arg:"" help:"Give this model a further name."`
	To   string `arg:"" help:"Give it this name, as NAME or NAME:TAG; it takes no room."`
}

func (c *modelCpCmd) Run(ctx context.Context) error {
	d := c.dial()
	defer d.Close()
	return remote.Copy(ctx, d, c.From, c.To)
}
