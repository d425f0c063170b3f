package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct {
	Verb string `arg:"" optional:"" enum:"cloud," default:"" help:"cloud: the page of skerry-cloud, a program that is the verb cloud alone."`
}

// Help is shown above the flags.
func (c *manCmd) Help() string {
	return `Examples:
  skerry man | man -l -                     read it
  skerry man cloud | man -l -               that of skerry-cloud
  skerry man | sudo tee /usr/local/share/man/man1/skerry.1 >/dev/null
                                            have man skerry find it
`
}

func (c *manCmd) Run(k *kong.Kong, out *console) error {
	m := &manual{w: out.stdout}
	if c.Verb == "" {
		m.page(k.Model)
	} else {
		m.verbPage(k.Model, c.Verb)
	}
	return m.err
}

// manual writes a page in the man macros from what kong knows of the program: the
// library for it fills the examples like prose and dates every page anew.
type manual struct {
	w   io.Writer
	err error
}

// What the page says beside the commands and their flags.
const manTail = `.SH EXIT STATUS
.TP 5
0
All is well.
.TP
1
It failed; one line on stderr says why, and what to do.
.TP
2
The command line is wrong.
.TP
3
The daemon is not running, or this user may not use its socket.
.TP
4
There is an answer, but not all is well: the cloud was lost, or the status names a
problem.
.TP
130
Interrupted.
.SH ENVIRONMENT
.TP
SKERRY_SOCKET
The daemon's socket.
.TP
SKERRY_STATE
The state directory: keys, certificates, the database.
.TP
SKERRY_CACHE
Where models are kept.
.TP
SKERRY_KERNELS
Where the kernels built for processors are.
.TP
SKERRY_*
Each setting of the configuration has one, as SKERRY_CLOUD_ADDRESS for cloud.address.
.TP
NO_COLOR
Set to anything: no colours.
.SH FILES
.TP
/etc/skerry/skerry.toml
The configuration, and what lies beside it in conf.d.
.TP
/run/skerry/skerry.sock
The socket of the daemon that systemd started.
.TP
/var/lib/skerry
Its state directory; that of a user's own is ~/.local/state/skerry.
`

func (m *manual) page(app *kong.Application) {
	head, rest, _ := strings.Cut(strings.TrimSpace(app.Help), "\n")
	m.line(".TH %s 1 \"\" %s \"User commands\"", strings.ToUpper(app.Name), quoteRoff(app.Name+" "+version))
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
	m.line("%s", strings.TrimSuffix(manTail, "\n"))
}

// verbPage is the page of one verb under a name of its own, as skerry-cloud.
func (m *manual) verbPage(app *kong.Application, verb string) {
	name := app.Name + "-" + verb
	m.line(".TH %s 1 \"\" %s \"User commands\"", strings.ToUpper(name), quoteRoff(app.Name+" "+version))
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
func (m *manual) command(name, without string, n *kong.Node) {
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
func (m *manual) text(s string) {
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

func (m *manual) line(format string, args ...any) {
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
