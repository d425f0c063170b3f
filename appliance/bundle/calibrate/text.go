package calibrate

import (
	"fmt"
	"io"
	"text/tabwriter"

	"skerry/appliance/bundle"
)

// WriteText prints what the heads and the draft model are worth, and how far they are
// believed.
func (r *Result) WriteText(w io.Writer) error {
	if r.Calibration != nil {
		if err := writeExits(w, r.Heads, r.Calibration); err != nil {
			return err
		}
	}
	if d := r.Draft; d != nil {
		fmt.Fprintf(w, "draft model: %s\n", d.Worth())
		if d.Bound != nil {
			fmt.Fprintln(w, d.Bound.Text("the draft"))
		}
		if d.FreeText != nil {
			fmt.Fprintln(w, "draft model:", d.FreeText.Text())
		}
	}
	return (&bundle.Manifest{Heads: r.Heads, Draft: r.Draft}).WriteTrust(w)
}

// writeExits prints what the exit heads are worth.
func writeExits(to io.Writer, heads []bundle.Head, c *bundle.Calibration) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(to, "exit heads fitted on %d tokens, shortlist of %d tokens covers %.1f %% of the model's (report %.1f %%)\n",
		c.Tokens, heads[0].Shortlist, 100*c.Coverage, 100*c.CoverageReport)
	fmt.Fprintln(w, "agreement after block\traw\tfitted")
	for _, d := range c.Depths {
		fmt.Fprintf(w, "%d\t%.3f\t%.3f\n", d.Block, d.Raw, d.Fitted)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if b := c.Bound; b != nil {
		fmt.Fprintln(to, b.Text("the exits' word"))
	}
	if text := c.ChecksText(); text != "" {
		fmt.Fprintln(to, text)
	}
	for _, h := range heads {
		fmt.Fprintf(to, "exit %d: believed from confidence %.3g, its head costs %.1f %% of a pass (raw %.1f %%)\n", h.Exit, h.Threshold, 100*h.Cost, 100*h.RawCost)
		fmt.Fprintln(w, "  confidence at least\tshare\tagreement\traw share\traw agreement")
		for i, m := range h.Measured {
			fmt.Fprintf(w, "  %.3g\t%.3f\t%.3f\t%.3f\t%.3f\n", m.Confidence, m.Share, m.Agreement, h.Raw[i].Share, h.Raw[i].Agreement)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if h.FreeText != nil {
			fmt.Fprintf(to, "exit %d: %s\n", h.Exit, h.FreeText.Text())
		}
	}
	return nil
}
