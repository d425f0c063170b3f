package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/httpd"
)

type keyLsCmd struct {
	keyStore
	JSON bool `name:"json" help:"Print the result as JSON."`
}

func (c *keyLsCmd) Run(out *cli.Console) error {
	keys, err := c.open()
	if err != nil {
		return err
	}
	list, err := keys.List()
	if err != nil {
		return err
	}
	if c.JSON {
		rows := []listedKey{}
		for _, k := range list {
			rows = append(rows, listedKey{k.Name, k.InForce(), k.Created, k.Used})
		}
		e := json.NewEncoder(out.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}
	if len(list) == 0 {
		out.Note("no keys in %s: make one with skerry key new NAME", keys.Path())
		return nil
	}
	w := tabwriter.NewWriter(out.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSCOPES\tCREATED\tLAST USED")
	for _, k := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Name, k.InForce(), k.Created.Format(time.DateOnly), cmp.Or(k.Used, "never"))
	}
	return w.Flush()
}

// listedKey is a key as ls --json has it: without its hash.
type listedKey struct {
	Name    string       `json:"name"`
	Scopes  httpd.Scopes `json:"scopes"`
	Created time.Time    `json:"created"`
	Used    string       `json:"last_used,omitempty"`
}
