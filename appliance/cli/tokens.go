package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"skerry/appliance/infer"
)

// tint begins the terminal colour of a source, "" for plain.
func tint(s infer.Source) string {
	if t := s.Info().Tint; t != "" {
		return "\x1b[" + t + "m"
	}
	return ""
}

const untint = "\x1b[0m"

// TokenPrinter prints tokens as they come: tinted by source on a terminal and with its words
// whole, plain elsewhere, not at all where something else is printed.
type TokenPrinter struct {
	console *Console
	out     *os.File
	colour  bool
	quiet   bool
	any     bool
	moves   bool // a terminal on which what was printed can be taken back
	wrap    wrapper
	err     error // the first write that failed
}

// NewTokenPrinter prints to the console's output, and where that has colour, a legend of
// the sources to its errors. A quiet one prints nothing.
func NewTokenPrinter(c *Console, sources []infer.Source, quiet bool) *TokenPrinter {
	t := &TokenPrinter{console: c, out: c.Stdout, quiet: quiet}
	t.colour = !quiet && c.Colour()
	t.moves = os.Getenv("TERM") != "dumb"
	if t.colour {
		var legend []string
		for _, s := range sources {
			legend = append(legend, tint(s)+string(s)+untint)
		}
		fmt.Fprintln(c.Stderr, "said by: "+strings.Join(legend, "  "))
	}
	return t
}

// Token prints a token's text.
func (t *TokenPrinter) Token(tok infer.Token) {
	if t.quiet || tok.Text == "" {
		return
	}
	t.any = true
	begin := ""
	if t.colour {
		begin = tint(tok.Source)
	}
	columns := 0
	if t.moves {
		columns = t.console.Width()
	}
	t.write(t.wrap.add(tok.Text, begin, columns))
}

func (t *TokenPrinter) write(text string) {
	if t.err == nil {
		_, t.err = io.WriteString(t.out, text)
	}
}

// End ends the line, if anything was printed on it.
func (t *TokenPrinter) End() {
	if t.any {
		t.any, t.wrap = false, wrapper{}
		t.write("\n")
	}
}

// Err is the first write that failed; nothing was printed after it.
func (t *TokenPrinter) Err() error { return t.err }
