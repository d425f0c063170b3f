package main

import (
	"errors"
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/config"
)

type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Say everything that is wrong with the configuration, a line each."`
	Show    configShowCmd    `cmd:"" help:"Show the settings in force, each with where it is from."`
	Default configDefaultCmd `cmd:"" help:"Print every setting with its default and what it means, as a file to begin with."`
}

// Help is shown above the commands.
func (c *configCmd) Help() string {
	return `Settings are the defaults, then /etc/skerry/skerry.toml (or --config FILE), then
conf.d/*.toml beside it in the order of their names, then SKERRY_* variables, then
flags: the later win. A running daemon takes up those marked live at
systemctl reload skerry, and says which want a restart.

Examples:
  skerry config default > skerry.toml       all settings, explained
  skerry config check --config skerry.toml  before a restart says so
  skerry config show                        what is in force, and from where
  skerry config show --set log.level=debug  with a flag of serve
  SKERRY_CLOUD_ADDRESS=10.0.0.2:7537 skerry config show --json
`
}

type configCheckCmd struct {
	target.Settings
}

func (c *configCheckCmd) Run(out *cli.Console) error {
	_, _, err := c.Load()
	var all config.Problems
	if !errors.As(err, &all) {
		fmt.Fprintln(out.Stdout, "ok")
		return nil
	}
	for _, p := range all {
		fmt.Fprintln(out.Stdout, p)
	}
	return &cli.CodeError{Code: cli.ExitError}
}

type configShowCmd struct {
	target.Settings
	JSON bool `name:"json" help:"Print the result as JSON."`
}

func (c *configShowCmd) Run(out *cli.Console) error {
	cfg, origins, err := c.Load()
	if err != nil {
		return err
	}
	if c.JSON {
		return config.ShowJSON(out.Stdout, cfg, origins)
	}
	return config.Show(out.Stdout, cfg, origins)
}

type configDefaultCmd struct{}

func (c *configDefaultCmd) Run(out *cli.Console) error { return config.WriteDefault(out.Stdout) }
