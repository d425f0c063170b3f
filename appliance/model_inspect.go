package main

import (
	"skerry/appliance/bundle"
	"skerry/appliance/cli"
	"skerry/appliance/library"
)

type modelInspectCmd struct {
	Dir  string `arg:"" help:"Show this model, by a name that skerry model ls lists, or the bundle in this directory."`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

func (c *modelInspectCmd) Run(out *cli.Console) error {
	l, err := library.Open()
	if err != nil {
		return err
	}
	dir, err := l.Path(c.Dir)
	if err != nil {
		return err
	}
	i, err := bundle.Inspect(dir)
	if err != nil {
		return err
	}
	if c.JSON {
		return cli.IndentedJSON(out.Stdout, i)
	}
	return i.Write(out.Stdout, dir)
}
