package cli

import (
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// Waiting is one line at the foot of the terminal that stderr is: what is waited for now. It is
// gone before anything else is printed, and off a terminal there is none.
type Waiting struct {
	out   *os.File // nil where nothing is shown
	shown int      // columns that the line takes
}

// NewWaiting shows nothing yet, and a quiet one never does.
func NewWaiting(c *Console, quiet bool) *Waiting {
	if quiet || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(c.Stderr.Fd())) {
		return &Waiting{}
	}
	return &Waiting{out: c.Stderr}
}

// Show draws the line anew, cut to one line of the terminal; "" takes it away. Blanks are
// written over what it leaves, since they need no terminal that knows how to erase.
func (w *Waiting) Show(text string) {
	if w.out == nil || text == "" && w.shown == 0 {
		return
	}
	width, _, err := term.GetSize(int(w.out.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	text = runewidth.Truncate(text, width-1, "…")
	columns := runewidth.StringWidth(text)
	line := "\r" + text + strings.Repeat(" ", max(min(w.shown, width-1)-columns, 0))
	if text == "" {
		line += "\r"
	}
	w.out.WriteString(line)
	w.shown = columns
}

// Clear takes the line away.
func (w *Waiting) Clear() { w.Show("") }
