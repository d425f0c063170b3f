package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"skerry/appliance/cli"
	"skerry/appliance/decode/batch"
	"skerry/appliance/doctor"
	"skerry/appliance/node"
	"skerry/appliance/status"
)

type doctorCmd struct {
	daemonFlags
	settingsFlags
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
func newDoctor(d daemonFlags, s settingsFlags) (*doctor.Doctor, error) {
	return doctor.New(doctor.Options{Version: version, ConfigFile: s.Config, Settings: s.load, Socket: d.Socket, State: d.State,
		Memory: func() (batch.Memory, error) { return node.MachineMemory("/") }})
}

// doctorReport is what skerry doctor --json prints.
type doctorReport struct {
	OK     bool            `json:"ok"`
	Daemon bool            `json:"daemon"` // it runs
	Checks doctor.Findings `json:"checks"`
}

func (c *doctorCmd) Run(ctx context.Context, out *cli.Console) error {
	d, err := newDoctor(c.daemonFlags, c.settingsFlags)
	if err != nil {
		return err
	}
	defer d.Close()
	say := func(f doctor.Finding) { sayFinding(out, f) }
	if c.JSON {
		say = nil
	}
	found := d.Look(ctx, say)
	if err := ctx.Err(); err != nil {
		return err
	}
	fails, warns := found.Count(doctor.Fail), found.Count(doctor.Warn)
	if c.JSON {
		if err := out.JSON(doctorReport{fails+warns == 0, d.Running(), found}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(out.Stdout, "\n"+doctor.Verdict(found))
	}
	switch {
	case fails > 0:
		return &cli.CodeError{Code: cli.ExitError}
	case warns > 0:
		return &cli.CodeError{Code: cli.ExitDegraded}
	}
	return nil
}

// sayFinding prints a finding, its texts wrapped beside the name of its check.
func sayFinding(out *cli.Console, f doctor.Finding) {
	columns := out.Width()
	if columns == 0 {
		columns = math.MaxInt
	}
	head := fmt.Sprintf("%-4s  %-11s  ", f.Result, f.Check)
	columns = max(columns-len(head), 20)
	lines := status.Wrap(status.Printable(f.Detail), columns)
	if f.ToDo != "" {
		for i, l := range status.Wrap(status.Printable(f.ToDo), columns-3) {
			mark := "-> "
			if i > 0 {
				mark = "   "
			}
			lines = append(lines, mark+l)
		}
	}
	for _, l := range lines {
		fmt.Fprintln(out.Stdout, head+l)
		head = strings.Repeat(" ", len(head))
	}
}
