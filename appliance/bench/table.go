package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table has a title, what its figures are, and rows, of which the first is its
// head.
type Table struct {
	Title, Note string
	Rows        [][]string
}

// WriteText writes the table for a terminal.
func (t Table) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "\n%s (%s)\n", t.Title, t.Note)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range t.Rows {
		fmt.Fprintln(tw, "  "+strings.Join(c, "\t"))
	}
	return tw.Flush()
}

// Markdown is the table for a README.
func (t Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n**%s** (%s)\n\n", t.Title, t.Note)
	for i, c := range t.Rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(c, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(c)))
		}
	}
	return b.String()
}
