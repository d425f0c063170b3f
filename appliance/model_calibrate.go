package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/engine"
)

type modelCalibrateCmd struct {
	Dir     string   `arg:"" help:"The bundle." type:"path"`
	Text    []string `help:"A text file to fit to, instead of the packaged texts; may be repeated." placeholder:"FILE" type:"path"`
	Report  []string `help:"A text file to measure on, of another source; may be repeated." placeholder:"FILE" type:"path"`
	Tokens  int      `help:"About how many tokens to fit on." default:"${calibrateTokens}"`
	Steps   int      `help:"Steps of gradient descent after the regression; -1 for none." default:"${calibrateSteps}"`
	Seed    uint64   `help:"Seed of texts, answers and order." default:"1"`
	Threads int      `help:"Threads to compute with; default all cores." placeholder:"N"`
	JSON    bool     `help:"As JSON." name:"json"`
}

func (c *modelCalibrateCmd) Run(ctx context.Context, out *console) error {
	if c.Tokens < 1000 || c.Steps == 0 || c.Threads < 0 {
		return usageError("--tokens is at least 1000, --steps 1 or more or -1 for none, --threads 1 or more")
	}
	if k := engine.Init(""); k.Baseline() {
		out.note("%s", baselineWarning)
	}
	p := newProgress(out, "calibrate")
	defer p.done()
	r, err := calibrate.Run(ctx, c.Dir, calibrate.Options{Texts: c.Text, Reports: c.Report, Tokens: c.Tokens, Steps: c.Steps,
		Seed: c.Seed, Threads: c.Threads, Progress: p.step, Note: out.note})
	if err != nil {
		return err
	}
	p.done()
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(struct {
			Heads       []bundle.Head       `json:"exit_heads"`
			Calibration *bundle.Calibration `json:"calibration"`
		}{r.Heads, r.Calibration})
	}
	return showCalibration(out, r.Heads, r.Calibration)
}

// showCalibration prints what the heads are worth.
func showCalibration(out *console, heads []bundle.Head, c *bundle.Calibration) error {
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out.stdout, "exit heads fitted on %d tokens, shortlist of %d tokens covers %.1f %% of the model's (report %.1f %%)\n",
		c.Tokens, heads[0].Shortlist, 100*c.Coverage, 100*c.CoverageReport)
	fmt.Fprintln(w, "agreement after block\traw\tfitted")
	for _, d := range c.Depths {
		fmt.Fprintf(w, "%d\t%.3f\t%.3f\n", d.Block, d.Raw, d.Fitted)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, h := range heads {
		fmt.Fprintf(out.stdout, "exit %d: believed from confidence %.3g, its head costs %.1f %% of a pass (raw %.1f %%)\n", h.Exit, h.Threshold, 100*h.Cost, 100*h.RawCost)
		fmt.Fprintln(w, "  confidence at least\tshare\tagreement\traw share\traw agreement")
		for i, m := range h.Measured {
			fmt.Fprintf(w, "  %.3g\t%.3f\t%.3f\t%.3f\t%.3f\n", m.Confidence, m.Share, m.Agreement, h.Raw[i].Share, h.Raw[i].Agreement)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// agreementAt is what was measured from the head's threshold on, 0 where nothing
// reached it.
func agreementAt(h bundle.Head) float64 {
	for _, m := range h.Measured {
		if m.Confidence >= h.Threshold {
			return m.Agreement
		}
	}
	return 0
}
