package main

import (
	"context"
	"fmt"

	"skerry/appliance/bundle/prepare"
	"skerry/appliance/bundle/split"
	"skerry/appliance/cli"
)

type modelSplitCmd struct {
	Source    string `arg:"" help:"Split this model, a GGUF." type:"path"`
	Output    string `short:"o" required:"" help:"Write the bundle to this directory." placeholder:"DIR" type:"path"`
	Name      string `help:"Call the model this, by which clients ask for it, instead of by the file's name." placeholder:"NAME"`
	Exits     string `help:"Place one or two exits above so many blocks, on the model's period. Without it they are at a third and two thirds." placeholder:"A[,B]"`
	Type      string `help:"Store the weights as auto, q4_0, q8_0 or keep; auto requantizes what has no fast kernels." default:"auto"`
	Draft     string `help:"Have this smaller model of the same tokens draft on the board: a GGUF, or what skerry model fetch takes, as qwen2.5-coder-0.5b." placeholder:"SMALL"`
	NoUnsplit bool   `help:"Leave the whole model out, which only the unsplit mode needs."`
}

func (c *modelSplitCmd) Run(ctx context.Context, out *cli.Console) error {
	exits, err := parseExits(c.Exits)
	if err != nil {
		return err
	}
	p := cli.NewProgress(out, "split")
	defer p.Done()
	m, err := prepare.Split(ctx, c.Source, c.Output, split.Options{Name: c.Name, Exits: exits, Type: c.Type, Draft: c.Draft, NoUnsplit: c.NoUnsplit}, p.Step)
	if err != nil {
		return err
	}
	p.Done()
	out.Note("parity with the whole model over %d positions: %d equal tokens, logits within %g (%s kernels)",
		m.Parity.Positions, m.Parity.EqualTokens, m.Parity.MaxAbsDiff, m.Parity.Kernels)
	out.Note("%s is ready. Next:\n  skerry run --bundle %[2]s \"Hello\"    try it\n  skerry model calibrate %[2]s      fit its exits: more tokens stay on the board\n  skerry serve --bundle %[2]s       serve it",
		m.Name, cli.ShellWord(c.Output))
	fmt.Fprintln(out.Stdout, c.Output)
	return nil
}

// parseExits reads the value of --exits.
func parseExits(s string) ([]int, error) {
	exits, err := prepare.ParseExits(s)
	if err != nil {
		return nil, cli.Usagef("--exits %w", err)
	}
	return exits, nil
}
