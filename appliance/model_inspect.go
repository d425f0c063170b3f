package main

import (
	"encoding/json"
	"fmt"

	"skerry/appliance/bundle"
	"skerry/appliance/cli"
)

type modelInspectCmd struct {
	Dir  string `arg:"" help:"Show the bundle in this directory." type:"path"`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

func (c *modelInspectCmd) Run(out *cli.Console) error {
	i, err := bundle.Inspect(c.Dir)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(out.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(i)
	}
	m := i.Manifest
	fmt.Fprint(out.Stdout, i.Text())
	for _, h := range m.Heads {
		if h.Kind == bundle.HeadModel {
			fmt.Fprintf(out.Stdout, "exit %d: the model's own norm and LM head; skerry model calibrate %s fits a better one\n", h.Exit, c.Dir)
		} else {
			fmt.Fprintf(out.Stdout, "exit %d: fitted, %d tokens, believed from confidence %.3g, where it agrees with the whole model on %.3f\n",
				h.Exit, h.Shortlist, h.Threshold, h.ThresholdAgreement())
		}
		if h.FreeText != nil {
			fmt.Fprintf(out.Stdout, "exit %d: %s; it begins: %s\n", h.Exit, h.FreeText.Text(), h.FreeText.Sample)
		}
	}
	if err := m.WriteTrust(out.Stdout); err != nil {
		return err
	}
	if err := m.DrawTrust(out.Stdout); err != nil {
		return err
	}
	if p := m.Parity; p != nil {
		fmt.Fprintf(out.Stdout, "parity: %d of %d tokens equal, logits within %g (%s kernels)\n", p.EqualTokens, p.Positions, p.MaxAbsDiff, p.Kernels)
	}
	return nil
}
