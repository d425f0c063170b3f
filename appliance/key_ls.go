package main

import (
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
	list, err := keys.Infos()
	if err != nil {
		return err
	}
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, list)
	}
	if len(list) == 0 {
		out.Note("no keys in %s: make one with skerry key new NAME", keys.Path())
		return nil
	}
	return cli.Table(out.Stdout, httpd.KeyTable(list)...)
}
