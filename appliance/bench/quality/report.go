package quality

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"skerry/appliance/bench"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Report is what was measured.
type Report struct {
	Tasks []TaskReport `json:"tasks"`
	Run   Run          `json:"run"`
}

// Run is on what and how it was measured.
type Run struct {
	Model     string   `json:"model"`
	Blocks    int      `json:"blocks"`
	Exits     []int    `json:"exits"`
	Kernels   string   `json:"kernels"`
	Modes     []string `json:"modes"`
	Limit     int      `json:"limit"`   // entries of each task, 0 for all
	Context   int      `json:"context"` // positions
	Seed      uint64   `json:"seed"`
	Resamples int      `json:"resamples"`
	// Code is how programs were run: confined, unconfined, or "" for not at all.
	Code string `json:"code"`
}

// TaskReport is a task and how each mode did.
type TaskReport struct {
	Name      string   `json:"name"`
	Kind      Kind     `json:"kind"`
	Entries   int      `json:"entries"`
	Answers   int      `json:"answers"`  // of each mode: conversations have several
	TooLong   int      `json:"too_long"` // questions left out, as the context has no room for them
	Empty     int      `json:"empty"`    // records of a public file left out, as they lack the text or its answer
	MaxTokens int      `json:"max_tokens"`
	Metrics   []Metric `json:"metrics"`
	// Skipped is why the task was not put, "" where it was.
	Skipped string `json:"skipped,omitempty"`
	Rows    []Row  `json:"rows"`
}

// Row is how a mode did at a task.
type Row struct {
	Mode   string           `json:"mode"`
	Scores map[Metric]Score `json:"scores"`
	// Same is the share of answers that are the unsplit model's, character by character, and
	// Near the mean ROUGE-L F1 of answers against the unsplit model's.
	Same    float64              `json:"same_text"`
	Near    float64              `json:"rouge_l_to_unsplit"`
	Tokens  int                  `json:"tokens"`
	Sources map[infer.Source]int `json:"tokens_by_source"`
	Asks    float64              `json:"asks_per_token"`
	Cut     int                  `json:"cut"` // answers that were not over after max_tokens
}

// Score is a mean over the answers, from 0 to 1.
type Score struct {
	Mean float64 `json:"mean"`
	// Difference to the unsplit model's, null for that itself and for a single entry.
	Difference *Difference `json:"difference"`
}

// WriteText writes the report as tables for a terminal, one a task.
func (r *Report) WriteText(w io.Writer) error {
	x := r.Run
	fmt.Fprintf(w, "%s, exits after %v of %d blocks, greedy; %s\n", x.Model, x.Exits, x.Blocks, x.Kernels)
	for _, t := range r.Tasks {
		if t.Skipped != "" {
			fmt.Fprintf(w, "\n%s: skipped: %s\n", t.Name, t.Skipped)
			continue
		}
		if err := t.table().WriteText(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.notes())
	return err
}

func (t TaskReport) table() bench.Table {
	head := []string{""}
	for _, m := range t.Metrics {
		head = append(head, m.title())
	}
	head = append(head, t.Metrics[0].title()+" to unsplit, 95 %", "same text", "ROUGE-L to unsplit")
	sources := t.sources()
	for _, s := range sources {
		head = append(head, s.Name)
	}
	table := bench.Table{Title: t.Name, Note: t.note(), Rows: [][]string{append(head, "asks/token")}}
	for _, r := range t.Rows {
		cells := []string{r.Mode}
		for _, m := range t.Metrics {
			cells = append(cells, percent(r.Scores[m].Mean))
		}
		cells = append(cells, r.Scores[t.Metrics[0]].Difference.cell(), percent(r.Same), percent(r.Near))
		for _, s := range sources {
			cells = append(cells, fmt.Sprint(r.Sources[s.Key]))
		}
		table.Rows = append(table.Rows, append(cells, fmt.Sprintf("%.2f", r.Asks)))
	}
	return table
}

// sources are those of any token of the task.
func (t TaskReport) sources() []infer.SourceInfo {
	return slices.DeleteFunc(slices.Clone(infer.Sources), func(s infer.SourceInfo) bool {
		return !slices.ContainsFunc(t.Rows, func(r Row) bool { return r.Sources[s.Key] > 0 })
	})
}

// note says of what the figures are.
func (t TaskReport) note() string {
	parts := []string{string(t.Kind), status.Plural(t.Answers, "answer"), "at most " + status.Plural(t.MaxTokens, "token") + " each"}
	if t.TooLong > 0 {
		parts = append(parts, status.Plural(t.TooLong, "question")+" too long for the context left out")
	}
	if t.Empty > 0 {
		parts = append(parts, status.Plural(t.Empty, "empty record")+" left out")
	}
	return strings.Join(parts, ", ")
}

// cell is the difference and its interval in points of a hundred.
func (d *Difference) cell() string {
	if d == nil {
		return "-"
	}
	return fmt.Sprintf("%+.1f (%+.1f to %+.1f)", 100*d.Mean, 100*d.Low, 100*d.High)
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// notes say how to read the tables.
func (r *Report) notes() string {
	var s strings.Builder
	for _, m := range []Metric{Accuracy, PassAt1, RougeL, ExactMatch} {
		if slices.ContainsFunc(r.Tasks, func(t TaskReport) bool { return t.Skipped == "" && slices.Contains(t.Metrics, m) }) {
			s.WriteString(m.note() + " ")
		}
	}
	fmt.Fprintf(&s, "Differences are in points, with the 95 %% interval of %d bootstrap resamples of the entries (seed %d). Under a source are its tokens.", r.Run.Resamples, r.Run.Seed)
	if r.Run.Code == Unconfined {
		s.WriteString(" Programs ran UNCONFINED.")
	}
	return s.String()
}
