package main

import (
	"context"
	"encoding/json"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/cli"
	"skerry/appliance/engine"
	"skerry/appliance/node"
)

type modelCalibrateCmd struct {
	Dir             string   `arg:"" help:"Fit the exits of the bundle in this directory, and measure its draft model." type:"path"`
	Text            []string `help:"Fit to this text file instead of the packaged texts. It may be repeated." placeholder:"FILE" type:"path"`
	Report          []string `help:"Measure on this text file, of another source, instead of on a part of the texts. It may be repeated." placeholder:"FILE" type:"path"`
	Tokens          int      `help:"Fit on about so many tokens." default:"${calibrateTokens}"`
	Steps           int      `help:"Take so many steps of gradient descent after the regression; -1 takes none." default:"${calibrateSteps}"`
	Seed            uint64   `help:"Draw texts, answers and their order with this seed." default:"1"`
	Threads         int      `help:"Compute with so many threads instead of one for each core." placeholder:"N"`
	MaxDisagreement float64  `help:"Believe the exits and the draft model only so far that at most this share of tokens is not the whole model's, with a probability of 0.95." placeholder:"X"`
	DraftOnly       bool     `help:"Measure the draft model alone, and fit no exits."`
	Keep            bool     `help:"Keep what the model read and wrote in the cache, for another calibration."`
	HeadSet         string   `help:"Write the fitted heads to this file too, which another bundle of the model can take in." placeholder:"FILE" type:"path"`
	JSON            bool     `help:"Print the result as JSON." name:"json"`
}

func (c *modelCalibrateCmd) Run(ctx context.Context, out *cli.Console) error {
	if c.MaxDisagreement < 0 || c.MaxDisagreement >= 1 {
		return cli.Usagef("--max-disagreement is a share above 0 and below 1, as 0.05")
	}
	if c.Tokens < 1000 || c.Steps == 0 || c.Threads < 0 {
		return cli.Usagef("--tokens is at least 1000, --steps 1 or more or -1 for none, --threads 1 or more")
	}
	if c.DraftOnly && c.HeadSet != "" {
		return cli.Usagef("--draft-only fits no heads that --head-set could write")
	}
	if k := engine.Init(""); k.Baseline() {
		out.Note("%s", node.BaselineWarning)
	}
	p := cli.NewProgress(out, "calibrate")
	defer p.Done()
	r, err := calibrate.Run(ctx, c.Dir, calibrate.Options{Texts: c.Text, Reports: c.Report, Tokens: c.Tokens, Steps: c.Steps,
		Seed: c.Seed, Threads: c.Threads, MaxDisagreement: c.MaxDisagreement, Keep: c.Keep,
		HeadSet: c.HeadSet, DraftOnly: c.DraftOnly, Progress: p.Step, Note: out.Note})
	if err != nil {
		return err
	}
	p.Done()
	if c.JSON {
		return json.NewEncoder(out.Stdout).Encode(struct {
			Heads       []bundle.Head       `json:"exit_heads,omitempty"`
			Calibration *bundle.Calibration `json:"calibration,omitempty"`
			Draft       *bundle.Draft       `json:"draft,omitempty"`
		}{r.Heads, r.Calibration, r.Draft})
	}
	if r.Calibration != nil {
		if err := calibrate.WriteText(out.Stdout, r.Heads, r.Calibration); err != nil {
			return err
		}
	}
	if d := r.Draft; d != nil {
		fmt.Fprintf(out.Stdout, "draft model: %s\n", d.Worth())
		if d.Bound != nil {
			fmt.Fprintln(out.Stdout, d.Bound.Text("the draft"))
		}
		if d.FreeText != nil {
			fmt.Fprintln(out.Stdout, "draft model:", d.FreeText.Text())
		}
	}
	return (&bundle.Manifest{Heads: r.Heads, Draft: r.Draft}).WriteTrust(out.Stdout)
}
