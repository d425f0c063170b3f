package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"skerry/appliance/cli"
	"skerry/appliance/library/remote"
	"skerry/appliance/status"
)

// modelLsCmd lists what the cache holds, and what a daemon has beside that; a bundle made
// elsewhere is known by its directory alone.
type modelLsCmd struct {
	daemonFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
}

func (c *modelLsCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.dial()
	defer d.Close()
	models, err := remote.List(ctx, d)
	if err != nil {
		return err
	}
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, models)
	}
	if len(models) == 0 {
		out.Note("no model is in the cache: `skerry model fetch` fetches the default one, `skerry model pull NAME` fetches and prepares another")
		return nil
	}
	w := tabwriter.NewWriter(out.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tSIZE\tEXITS\tPATH")
	for _, m := range models {
		kind, exits := m.Kind()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, kind, status.Bytes(m.Bytes), exits, m.Path)
	}
	return w.Flush()
}
