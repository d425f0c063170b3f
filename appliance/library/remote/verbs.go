package remote

import (
	"context"
	"fmt"
	"text/tabwriter"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/status"
)

// ListVerb is skerry model ls. It lists what the cache holds, and what a daemon has beside
// that; a bundle made elsewhere is known by its directory alone.
type ListVerb struct {
	target.Daemon
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Run prints the list.
func (c *ListVerb) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	models, err := List(ctx, d)
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

// RemoveVerb is skerry model rm.
type RemoveVerb struct {
	target.Daemon
	Names []string `arg:"" name:"name" help:"Remove these models, by names that skerry model ls lists."`
}

// Run removes the models one after another, up to the first that cannot be.
func (c *RemoveVerb) Run(ctx context.Context, out *cli.Console) error {
	d := c.Dial()
	defer d.Close()
	for _, name := range c.Names {
		said, err := Remove(ctx, d, name)
		if err != nil {
			return err
		}
		out.Note("%s", said)
	}
	return nil
}

// CopyVerb is skerry model cp.
type CopyVerb struct {
	target.Daemon
	From string `arg:"" help:"Give this model a further name."`
	To   string `arg:"" help:"Give it this name, as NAME or NAME:TAG; it takes no room."`
}

// Run gives the name.
func (c *CopyVerb) Run(ctx context.Context) error {
	d := c.Dial()
	defer d.Close()
	return Copy(ctx, d, c.From, c.To)
}
