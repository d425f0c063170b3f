package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Command of a chat, as /session.
type Command struct {
	Name string // with its slash
	Args string // what may follow it, "" for nothing
	Help string // a sentence
	Do   func(args string) error
}

// Prompt asks a person for one question after another, on a terminal. A line that is a
// command is done at once; lines between two """ are one question.
type Prompt struct {
	console  *Console
	commands []Command
	lines    lineReader
}

// lineReader reads a line behind a mark. Errors are io.EOF where there is none any more or
// reading was ended from outside, and errDropped where what was typed is to be dropped.
type lineReader interface {
	line(ctx context.Context, interrupts <-chan os.Signal, mark string) (string, error)
	remember(line string)
}

var errDropped = errors.New("the line was dropped")

// leaving are what ends a chat.
var leaving = []string{"/bye", "/exit", "/quit"}

// Marks before what is typed.
const (
	mark     = "> "
	moreMark = "... "
	fence    = `"""`
)

// NewPrompt makes a Prompt of the console. Where its terminal can be drawn on, lines are
// edited and called back with the arrow keys, else read as the terminal sends them.
func NewPrompt(c *Console, commands ...Command) *Prompt {
	p := &Prompt{console: c, commands: commands}
	if e := newEditor(c); e != nil {
		p.lines = e
	} else {
		p.lines = &plainLines{console: c}
	}
	return p
}

// Close ends the use of the terminal.
func (p *Prompt) Close() {
	if e, ok := p.lines.(*editor); ok {
		e.in.Close()
	}
}

// Remember a question, to be called back with the arrow keys.
func (p *Prompt) Remember(question string) {
	if !strings.Contains(question, "\n") {
		p.lines.remember(question)
	}
}

// Next returns the next question, or io.EOF once the person leaves: by Ctrl-D, Ctrl-C twice
// or a command; or once ctx ends. Other errors are a command's.
func (p *Prompt) Next(ctx context.Context, interrupts <-chan os.Signal) (string, error) {
	for dropped := false; ; {
		line, err := p.lines.line(ctx, interrupts, mark)
		if err == nil && strings.HasPrefix(strings.TrimSpace(line), fence) {
			line, err = p.fenced(ctx, interrupts, strings.TrimPrefix(strings.TrimSpace(line), fence))
			if err == nil && strings.TrimSpace(line) != "" {
				return line, nil
			}
		}
		switch {
		case errors.Is(err, errDropped) && !dropped:
			dropped = true
			p.console.Tell("(Ctrl-C once more leaves, as Ctrl-D and /bye do)")
			continue
		case err != nil:
			return "", io.EOF
		}
		dropped = false
		line = strings.TrimSpace(line)
		switch done, err := p.command(line); {
		case err != nil:
			return "", err
		case !done && line != "":
			return line, nil
		}
	}
}

// fenced reads on to the closing """.
func (p *Prompt) fenced(ctx context.Context, interrupts <-chan os.Signal, line string) (string, error) {
	var text []string
	for {
		if last, closed := strings.CutSuffix(strings.TrimRight(line, " \t"), fence); closed {
			return strings.Trim(strings.Join(append(text, last), "\n"), "\n"), nil
		}
		text = append(text, line)
		var err error
		if line, err = p.lines.line(ctx, interrupts, moreMark); err != nil {
			return "", err
		}
	}
}

// command does what a line orders, and reports whether it was an order: a slash and one word
// of letters. io.EOF ends the chat.
func (p *Prompt) command(line string) (bool, error) {
	name, args, _ := strings.Cut(line, " ")
	word, slash := strings.CutPrefix(name, "/")
	if !slash || word == "" || strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return false, nil
	}
	if slices.Contains(leaving, name) {
		return true, io.EOF
	}
	if name == "/help" {
		p.help()
		return true, nil
	}
	i := slices.IndexFunc(p.commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		p.console.Tell("skerry: there is no %s: /help lists what there is", name)
		return true, nil
	}
	return true, p.commands[i].Do(strings.TrimSpace(args))
}

func (p *Prompt) help() {
	list := append(slices.Clone(p.commands), Command{Name: "/help", Help: "Show this."}, Command{Name: "/bye", Help: "Leave the chat, as Ctrl-D does."})
	for _, c := range list {
		p.explain(strings.TrimSpace(c.Name+" "+c.Args), c.Help)
	}
	p.explain(fence, "Begin a question of several lines, and end it.")
	p.explain("Ctrl-C", "Stop the answer, or drop the line; twice leaves.")
}

func (p *Prompt) explain(key, what string) {
	line := fmt.Sprintf("  %-18s ", key)
	p.console.tell(len(line), line+what)
}

// plainLines reads lines as they come.
type plainLines struct {
	console *Console
	lines   <-chan string
}

func (p *plainLines) remember(string) {}

// line reads in the background: a read of a terminal that is not drawn on ends with the
// program.
func (p *plainLines) line(ctx context.Context, interrupts <-chan os.Signal, mark string) (string, error) {
	if p.lines == nil {
		p.lines = readLines(p.console.Stdin)
	}
	fmt.Fprint(p.console.Stderr, mark)
	select {
	case <-ctx.Done():
		return "", io.EOF
	case <-interrupts:
		return "", errDropped
	case line, ok := <-p.lines:
		if !ok {
			return "", io.EOF
		}
		return line, nil
	}
}
