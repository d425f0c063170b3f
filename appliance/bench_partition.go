package main

import (
	"context"

	"skerry/appliance/bench/remote"
	"skerry/appliance/cli"
)

// benchPartitionCmd is the cloud of bench strategies, which starts it: one core and one
// thread are all that it has.
type benchPartitionCmd struct {
	Bundle  string `required:"" type:"path"`
	State   string `required:"" type:"path"`
	Context int    `required:""`
	Core    int    `default:"-1"`

	Sessions int `required:""`
}

func (c *benchPartitionCmd) Run(ctx context.Context, out *cli.Console) error {
	if c.Core >= 0 {
		if err := remote.Pin(c.Core); err != nil {
			return err
		}
	}
	return remote.Serve(ctx, out.Stdin, out.Stdout, remote.ServeOptions{Version: version, State: c.State, Bundle: c.Bundle, Context: c.Context, Sessions: c.Sessions})
}
