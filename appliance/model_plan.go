package main

import (
	"context"
	"errors"

	"skerry/appliance/bundle/plan"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node"
)

type modelPlanCmd struct {
	Model string `arg:"" help:"Plan for the bundle in this directory, or for this GGUF." type:"path"`
	plan.Profile
	Measure bool `help:"Run the whole model on this machine to see what a pass and batches take; it should do nothing else meanwhile."`
	Threads int  `help:"Measure with so many threads instead of the cores less one." default:"0"`
	JSON    bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *modelPlanCmd) Help() string {
	return `Examples:
  skerry model plan DIR                     alone on this board
  skerry model plan DIR --cloud-pass 20ms --rtt 30ms --may text
                                            with a cloud and a link
  skerry model plan model.gguf --pass 400ms --memory 4
                                            for another board, not yet split
`
}

func (c *modelPlanCmd) Run(ctx context.Context, out *cli.Console) error {
	m, err := plan.ReadModel(c.Model)
	if err != nil {
		return err
	}
	o := plan.Options{Profile: c.Profile, Has: hasMode, Room: modelRoom()}
	if c.Measure {
		if o.Measured, err = plan.Measure(ctx, m, c.Threads); err != nil {
			return err
		}
	}
	p, err := plan.Make(m, o)
	if bad := new(plan.ProfileError); errors.As(err, &bad) {
		return cli.Usagef("%w", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(p)
	}
	return p.Text(out.Stdout, cli.Table)
}

// hasMode says whether this program has a mode that is predicted.
func hasMode(mode string) bool { return decode.SpecOf(infer.Mode(mode)).Name != "" }

// modelRoom is the memory that a model may have on this machine, 0 where that is not known.
func modelRoom() int64 {
	memory, _ := node.MachineMemory("/") // what is not known of it is left out
	room, _ := memory.Room()
	return room.Bytes
}
