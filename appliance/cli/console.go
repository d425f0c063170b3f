// Package cli is the terminal that the verbs talk through: what goes to which stream,
// how a run of the program ends, tables, progress and times. How bytes, spans, shares,
// numbers of things and errors read is in package status, which the page and the console
// share with it.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Console is what a verb talks through. Answers and tables go to Stdout, all else to
// Stderr.
type Console struct {
	Stdin          *os.File
	Stdout, Stderr *os.File
}

// Note writes a line for people to stderr.
func (c *Console) Note(format string, args ...any) { fmt.Fprintf(c.Stderr, format+"\n", args...) }

// Tell is Note with its words whole where stderr is a terminal, which would break the line in
// the middle of them. It is not for what is to be copied.
func (c *Console) Tell(format string, args ...any) { c.tell(0, fmt.Sprintf(format, args...)) }

// tell has what does not fit into a line go on behind an indent.
func (c *Console) tell(indent int, line string) {
	c.Note("%s", folded(line, indent, columns(c.Stderr)))
}

// Width of the terminal that stdout is, in columns; 0 where it is none.
func (c *Console) Width() int { return columns(c.Stdout) }

// columns of the terminal that f is, 0 where it is none.
func columns(f *os.File) int {
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// Colour says whether stdout is a terminal that shows colours, and whether whoever sits
// before it wants them (NO_COLOR).
func (c *Console) Colour() bool {
	return term.IsTerminal(int(c.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// JSON writes v as one line.
func (c *Console) JSON(v any) error { return json.NewEncoder(c.Stdout).Encode(v) }

// Report writes a report as JSON over several lines, or as text.
func (c *Console) Report(asJSON bool, r interface{ WriteText(io.Writer) error }) error {
	if asJSON {
		return IndentedJSON(c.Stdout, r)
	}
	return r.WriteText(c.Stdout)
}

// IndentedJSON writes v over several lines, for people as well as for programs.
func IndentedJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Flush returns when what was written to f is on the disk, where f is a file.
func Flush(f *os.File) error {
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	return f.Sync()
}

// Build is what the linker has set of the program that runs.
type Build struct {
	Version string
	// UpdateKeys are the public keys that may sign updates, as minisign prints them and with
	// spaces between.
	UpdateKeys string
}
