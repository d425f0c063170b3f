package status

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OneLine is what an error says, on one line.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Printable makes what somebody else says of itself safe for a terminal: control
// characters become question marks, and nothing at all becomes a dash.
func Printable(s string) string {
	return cmp.Or(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s), "-")
}

// Wrap breaks a text at its spaces into lines of at most so many characters, but for
// words that are longer.
func Wrap(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
