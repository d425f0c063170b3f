package main

import (
	_ "embed"

	"github.com/alecthomas/kong"

	"skerry/appliance/cli"
)

type manCmd struct {
	Verb string `arg:"" optional:"" enum:"cloud," default:"" help:"Print the page of skerry-cloud, the program that is the verb cloud alone, where this is cloud."`
}

// Help is shown above the flags.
func (c *manCmd) Help() string {
	return `Examples:
  skerry man | man -l -                     read it
  skerry man cloud | man -l -               that of skerry-cloud
  skerry man | sudo tee /usr/local/share/man/man1/skerry.1 >/dev/null
                                            have man skerry find it
`
}

func (c *manCmd) Run(k *kong.Kong, out *cli.Console) error {
	m := cli.Manual{Version: version, Tail: manTail}
	if c.Verb == "" {
		return m.Page(out.Stdout, k.Model)
	}
	return m.VerbPage(out.Stdout, k.Model, c.Verb)
}

// manTail is what the page says beside the commands and their flags.
//
//go:embed man_tail.roff
var manTail string
