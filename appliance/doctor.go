package main

import (
	"context"
	"fmt"

	"skerry/appliance/cli"
	"skerry/appliance/cli/target"
	"skerry/appliance/decode/batch"
	"skerry/appliance/doctor"
	"skerry/appliance/node"
)

type doctorCmd struct {
	target.Daemon
	target.Settings
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *doctorCmd) Help() string {
	return `It changes nothing. What the daemon knows is asked of it; without one the same is
looked for here, and the link is tried as skerry link test does.

Examples:
  skerry doctor                             what is wrong, and what to do
  sudo skerry doctor                        with what this user may not read
  skerry doctor --json | jq '.checks[] | select(.result == "fail")'

Exit codes: 0 all is well, 1 something fails, 4 something is worth a look.
`
}

// newDoctor is a doctor for the board that flags and configuration describe.
func newDoctor(d target.Daemon, s target.Settings) (*doctor.Doctor, error) {
	return doctor.New(doctor.Options{Version: version, ConfigFile: s.Config, Settings: s.Load, Socket: d.Socket, State: d.State,
		Memory: func() (batch.Memory, error) { return node.MachineMemory("/") }})
}

func (c *doctorCmd) Run(ctx context.Context, out *cli.Console) error {
	d, err := newDoctor(c.Daemon, c.Settings)
	if err != nil {
		return err
	}
	defer d.Close()
	say := func(f doctor.Finding) { fmt.Fprint(out.Stdout, f.Text(out.Width())) }
	if c.JSON {
		say = nil
	}
	found := d.Look(ctx, say)
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.JSON {
		err = out.JSON(doctor.Report{OK: !found.Any(doctor.Fail, doctor.Warn), Daemon: d.Running(), Checks: found})
	} else {
		_, err = fmt.Fprintln(out.Stdout, "\n"+doctor.Verdict(found))
	}
	switch {
	case err != nil:
		return err
	case found.Any(doctor.Fail):
		return &cli.CodeError{Code: cli.ExitError}
	case found.Any(doctor.Warn):
		return &cli.CodeError{Code: cli.ExitDegraded}
	}
	return nil
}
