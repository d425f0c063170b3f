package calibrate

import (
	"context"

	"skerry/appliance/cli"
)

// TrainVerb is `skerry model train`, which parses, trains and prints.
type TrainVerb struct {
	Dir     string   `arg:"" help:"Train a draft model for the bundle in this directory, out of the model's own blocks below the last exit." type:"path"`
	Text    []string `help:"Learn from this text file instead of the packaged texts. It may be repeated." placeholder:"FILE" type:"path"`
	Tokens  int      `help:"Learn from about so many tokens at most; it ends earlier where more of them no longer help." default:"${trainTokens}"`
	From    int      `help:"Train the blocks from this one on, counted from 0, instead of the upper half of them." placeholder:"BLOCK"`
	Passes  int      `help:"Learn from each text so many times." default:"2"`
	Seed    uint64   `help:"Draw texts, answers and their order with this seed." default:"1"`
	Threads int      `help:"Compute with so many threads instead of one for each core." placeholder:"N"`
	Replace bool     `help:"Replace the draft model that the bundle has."`
	JSON    bool     `help:"Print the result as JSON." name:"json"`
}

// Run trains as the flags say.
func (c *TrainVerb) Run(ctx context.Context, out *cli.Console) error {
	if c.Tokens < 5000 || c.Passes < 1 || c.From < 0 || c.Threads < 0 {
		return cli.Usagef("--tokens is at least 5000, --passes, --from and --threads are 1 or more")
	}
	p := cli.NewProgress(out, "train")
	r, err := Train(ctx, c.Dir, TrainOptions{Texts: c.Text, Tokens: c.Tokens, From: c.From, Passes: c.Passes,
		Seed: c.Seed, Threads: c.Threads, Replace: c.Replace, Progress: p.Step, Note: out.Note})
	p.Done()
	if err != nil {
		return err
	}
	return r.Write(out.Stdout, c.JSON)
}
