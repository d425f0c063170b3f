package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// figures is what a cell of a column of figures holds.
var figures = regexp.MustCompile(`^[0-9][0-9.]*( [kMGT]?B)?$`)

// table prints rows in aligned columns, figures to the right. What is empty shows as
// a dash, and nothing in a cell acts on the terminal.
func table(w io.Writer, rows ...[]string) error {
	widths, right := make([]int, len(rows[0])), make([]bool, len(rows[0]))
	for n, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
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

// facts prints names and what is to be said of each.
func facts(w io.Writer, rows ...[2]string) error {
	widest := 0
	for _, r := range rows {
		widest = max(widest, len(r[0]))
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", widest, r[0], printable(r[1])); err != nil {
			return err
		}
	}
	return nil
}

// since is how long ago t was, for people.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return ago(now.Sub(t))
}

// count is n things, as "1 token" and "2 tokens".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// wrap breaks a text at its spaces into lines of at most so many characters, but for
// words that are longer.
func wrap(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
