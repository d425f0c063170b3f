package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Manual makes manual pages of what kong knows of the program: the library for it fills
// the examples like prose and dates every page anew.
type Manual struct {
	Version string
	Tail    string // what the program's page says after its commands, in the man macros
}

// Page writes the page of the program.
func (p Manual) Page(w io.Writer, app *kong.Application) error {
	m := &roff{w: w, version: p.Version}
	m.page(app, p.Tail)
	return m.err
}

// VerbPage writes the page of one verb under a name of its own, as skerry-cloud.
func (p Manual) VerbPage(w io.Writer, app *kong.Application, verb string) error {
	m := &roff{w: w, version: p.Version}
	m.verbPage(app, verb)
	return m.err
}

// roff writes in the man macros. It keeps the first error.
type roff struct {
	w       io.Writer
	version string
	err     error
}

func (m *roff) page(app *kong.Application, tail string) {
	head, rest, _ := strings.Cut(strings.TrimSpace(app.Help), "\n")
	m.line(".TH %s 1 \"\" %s \"User commands\"", strings.ToUpper(app.Name), quoteRoff(app.Name+" "+m.version))
	m.line(".SH NAME\n%s \\- %s", app.Name, escapeRoff(strings.TrimSuffix(strings.TrimPrefix(head, app.Name+" "), ".")))
	m.line(".SH SYNOPSIS\n.B %s\n.I command\n[flags] [arguments]", app.Name)
	prose, examples, _ := strings.Cut(rest, "Examples:\n")
	m.line(".SH DESCRIPTION")
	m.text(prose)
	m.line(".SH EXAMPLES")
	m.text(examples)
	group := ""
	for _, node := range app.Leaves(true) {
		if title := titleOf(node); title != group {
			group = title
			m.line(".SH %s", quoteRoff(strings.ToUpper(title)))
		}
		m.command(app.Name, "", node)
	}
	m.line("%s", strings.TrimSuffix(tail, "\n"))
}

func (m *roff) verbPage(app *kong.Application, verb string) {
	name := app.Name + "-" + verb
	m.line(".TH %s 1 \"\" %s \"User commands\"", strings.ToUpper(name), quoteRoff(app.Name+" "+m.version))
	for _, node := range app.Leaves(true) {
		top := node
		for top.Parent != nil && top.Parent.Parent != nil {
			top = top.Parent
		}
		if top.Name != verb {
			continue
		}
		if top.Children[0] == node {
			m.line(".SH NAME\n%s \\- %s", escapeRoff(name), escapeRoff(strings.TrimSuffix(lowerFirst(top.Help), ".")))
			m.line(".SH SYNOPSIS\n.B %s\n.RI [ command ]\n[flags] [arguments]", escapeRoff(name))
			m.line(".SH DESCRIPTION\nThe program skerry, as its verb %s.\n.SH COMMANDS", verb)
		}
		m.command(name, verb+" ", node)
	}
	m.line(".SH SEE ALSO\n.BR %s (1)", app.Name)
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// titleOf is the group of the verb that a command belongs to.
func titleOf(n *kong.Node) string {
	for ; n != nil; n = n.Parent {
		if n.Group != nil {
			return n.Group.Title
		}
	}
	return "Commands"
}

// command describes one, by the name of its program and without the words that this
// stands for.
func (m *roff) command(name, without string, n *kong.Node) {
	m.line(".SS %s", quoteRoff(strings.TrimSuffix(name+" "+strings.TrimPrefix(n.Summary(), without), " [flags]")))
	m.line("%s", escapeRoff(n.Help))
	for _, a := range n.Positional {
		m.line(".TP\n.I %s\n%s", escapeRoff(a.Summary()), escapeRoff(oneText(a.Help)))
	}
	for _, f := range n.Flags {
		if !f.Hidden {
			m.line(".TP\n.B %s\n%s", escapeRoff(flagSummary(f)), escapeRoff(oneText(f.Help)))
		}
	}
	for _, detail := range details(n) {
		m.line(".PP")
		m.text(detail)
	}
}

// details of a command; those of a group of commands stand with its first.
func details(n *kong.Node) (all []string) {
	if p := n.Parent; p != nil && p.Type == kong.CommandNode && p.Detail != "" && p.Children[0] == n {
		all = append(all, p.Detail)
	}
	if n.Detail != "" {
		all = append(all, n.Detail)
	}
	return all
}

func flagSummary(f *kong.Flag) string {
	if f.Short != 0 {
		return fmt.Sprintf("-%c, %s", f.Short, f.Summary())
	}
	return f.Summary()
}

// text writes paragraphs as they are, and lines that are indented one for one.
func (m *roff) text(s string) {
	shown := false
	for _, l := range strings.Split(strings.TrimSpace(strings.ReplaceAll("\n"+s, "\n  ", "\n\x00")), "\n") {
		l, verbatim := strings.CutPrefix(l, "\x00")
		switch {
		case verbatim && !shown:
			m.line(".RS 2\n.nf")
		case shown && !verbatim:
			m.line(".fi\n.RE")
		}
		shown = verbatim
		if l == "" && !verbatim {
			l = ".PP"
		} else {
			l = escapeRoff(l)
		}
		m.line("%s", l)
	}
	if shown {
		m.line(".fi\n.RE")
	}
}

func (m *roff) line(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format+"\n", args...)
	}
}

func oneText(s string) string { return strings.Join(strings.Fields(s), " ") }

// escapeRoff has a line of text stand as it is.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "~", `\(ti`, "^", `\(ha`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

func quoteRoff(s string) string { return `"` + strings.ReplaceAll(escapeRoff(s), `"`, `\(dq`) + `"` }
