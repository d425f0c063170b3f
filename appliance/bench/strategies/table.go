package strategies

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"skerry/appliance/bench"
)

// WriteText writes the report as tables for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintln(w, r.headline())
	for _, t := range r.tables() {
		if err := t.WriteText(w); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%s%s\n", r.Judged, r.notes())
	return nil
}

// WriteMarkdown writes the same tables for a README.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Strategies%s\n\n%s\n", r.label(", "), r.headline())
	for _, t := range r.tables() {
		b.WriteString(t.Markdown())
	}
	fmt.Fprintf(&b, "\n%s%s\n", r.Judged, r.notes())
	_, err := io.WriteString(w, b.String())
	return err
}

// label is "simulated" after sep, or nothing.
func (r *Report) label(sep string) string {
	if r.Simulated {
		return sep + "simulated"
	}
	return ""
}

func (r *Report) headline() string {
	x := r.Run
	s := fmt.Sprintf("%s, exits after %v of %d blocks; %d prompts, %d tokens each, greedy", x.Model, x.Exits, x.Blocks, x.Prompts, x.MaxTokens)
	if r.Simulated {
		c := r.Setting
		return fmt.Sprintf("SIMULATED, not measured: tokens recorded of %s. Played on T=%.1f ms, m=%.2f, an edge %s the cloud's time, width %d, exits at %.2f and %.2f of the depth, a head of %.2f passes",
			s, 1000*c.T, c.M, times(x.Slow), c.Width, c.Exit1, c.Exit2, c.Head)
	}
	s += fmt.Sprintf(", medians of %d rounds; T=%.1f ms, m=%.2f, %.2f in checks; %s; %s", x.Rounds, 1000*r.T, r.M, r.Check, x.Cores, x.Kernels)
	if slices.ContainsFunc(x.Slow, func(slow float64) bool { return slow > 1 }) {
		s += fmt.Sprintf("; an edge %s slower, EMULATED by sleeping", times(x.Slow))
	}
	return s
}

// times are factors, as "1x, 3x".
func times(factors []float64) string {
	var all []string
	for _, f := range factors {
		all = append(all, fmt.Sprintf("%gx", f))
	}
	return strings.Join(all, ", ")
}

// tables has one for each link.
func (r *Report) tables() []bench.Table {
	var all []bench.Table
	for _, p := range r.places() {
		t := bench.Table{Rows: [][]string{{"", "thresholds", "total s", "predicted s", "edge", "cloud", "comm", "over cloud-only", "cloud time saved", "positions saved",
			"asks/token", "bytes up/token", "ttft s", "agreement"}}, Note: "link " + p.link}
		for _, x := range r.Rows {
			if x.Link != p.link || x.Slow != p.slow {
				continue
			}
			t.Title = fmt.Sprintf("RTT %.2f T%s", x.RTTOverT, r.label(", "))
			if p.slow > 1 {
				t.Title += fmt.Sprintf(", edge %gx slower", p.slow)
			}
			if x.Chosen != "" {
				t.Note += fmt.Sprintf("; auto was %s, %.2f of the fastest of what says the same text", x.Chosen, x.OverBest)
			}
			t.Rows = append(t.Rows, x.cells())
		}
		if !slices.ContainsFunc(r.Rows, func(x Row) bool { return x.Total > 0 }) {
			t.Rows = nil // clients alone were measured
		}
		if t.Rows != nil {
			all = append(all, t)
		}
		if c, ok := r.clientTable(p); ok {
			all = append(all, c)
		}
	}
	return all
}

func (r Row) cells() []string {
	thresholds := "-"
	if r.Threshold != nil {
		if thresholds = fmt.Sprintf("%.3g, %.3g", *r.Threshold, *r.Threshold2); r.Draft {
			thresholds = fmt.Sprintf("draft %.3g", *r.Threshold)
		}
	}
	name := r.Name
	if r.Encoding != "" {
		name += " (" + string(r.Encoding) + ")"
	}
	predicted := "-"
	if r.Predicted > 0 {
		predicted = fmt.Sprintf("%.2f (%+.0f %%)", r.Predicted, 100*r.Off())
	}
	return []string{name, thresholds, fmt.Sprintf("%.2f", r.Total), predicted, fmt.Sprintf("%.2f", r.Edge), fmt.Sprintf("%.2f", r.Cloud), fmt.Sprintf("%.2f", r.Comm),
		fmt.Sprintf("%.2f", r.OverCloudOnly), percent(r.TimeSaved), percent(r.PositionsSaved), fmt.Sprintf("%.2f", r.Asks), fmt.Sprintf("%.0f", r.BytesUp),
		fmt.Sprintf("%.3f", r.First), percent(r.Agreement)}
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// notes say how to read the tables.
func (r *Report) notes() string {
	if r.Simulated {
		return "The paper's: width 4096, exits after 8 and 16 of 32 blocks, thresholds of its own row. Derived from its totals: T=35 ms, an edge as fast as the cloud, 3 ms, 30 Mbit/s. " +
			"Ours: m, the cost of a head, the prompts, and every token with how sure its exits were. Drafts have the one length that is best over all answers. Bytes are of hidden states alone. Not simulated: loss, congestion control, and other users of the cloud but for the clients of its own table."
	}
	return "total: of all prompts; the edge, the cloud and the rest of the waiting may overlap. naive: the cloud keeps its KV cache, only bytes repeat. " +
		"paper: a fixed threshold, float16, each position sent once, an idle wait, no deadline. unreached: a threshold nobody reaches, every token the cloud's. " +
		"cloud-only+draft: mode cloud-led, in which the cloud drafts for itself, by the words before and by the draft model, where that pays. auto: that one of those that say the whole model's text which is predicted to be the fastest. " +
		"predicted: from T, m at the sizes that occur, the link, what the edge's first stage and a drafted token take, and how often drafts were right in what cloud-only said; beside it how far it is off. " +
		"Agreement is with the unsplit model after the same tokens. Bytes are UDP payload, acknowledgements included; dialling and opening a session are not timed."
}
