package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"skerry/appliance/status"
)

// figures is what a cell of a column of figures holds.
var figures = regexp.MustCompile(`^[0-9][0-9.]*( [kMGT]?B)?$`)

// Table prints rows in aligned columns, the first row being their heads and figures to
// the right. What is empty shows as a dash, and nothing in a cell acts on the terminal.
func Table(w io.Writer, rows ...[]string) error {
	widths, right := make([]int, len(rows[0])), make([]bool, len(rows[0]))
	for n, row := range rows {
		for i := range row {
			row[i] = status.Printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			if n == 1 {
				right[i] = true
			}
			right[i] = right[i] && (n == 0 || figures.MatchString(row[i]))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// Facts prints names and what is to be said of each.
func Facts(w io.Writer, rows ...[2]string) error {
	widest := 0
	for _, r := range rows {
		widest = max(widest, len(r[0]))
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", widest, r[0], status.Printable(r[1])); err != nil {
			return err
		}
	}
	return nil
}
