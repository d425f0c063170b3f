package console

import (
	"errors"
	"strings"
)

const prompt = "skerry> "

// longest is how many characters a typed line may have.
const longest = 60

// errInterrupted says that Ctrl-C ended what was being typed.
var errInterrupted = errors.New("interrupted")

// ask reads one typed line. The error is errInterrupted after Ctrl-C, errLeft after
// Ctrl-D on an empty line, or why the line is no more.
func (c *Console) ask(prompt string) (string, error) {
	var typed []byte
	redraw := func() { c.raws(prompt + string(typed)) }
	redraw()
	for {
		k, err := c.key(redraw)
		if err != nil {
			return "", err
		}
		switch {
		case k == keyEnter:
			c.echo("\n")
			return strings.TrimSpace(string(typed)), c.err
		case k == keyInterrupt:
			c.line("^C")
			return "", errInterrupted
		case k == keyEnd && len(typed) == 0:
			c.line("")
			return "", errLeft
		case k == keyErase && len(typed) > 0:
			typed = typed[:len(typed)-1]
			c.echo("\b \b")
		case k == keyKill:
			c.echo(strings.Repeat("\b \b", len(typed)))
			typed = typed[:0]
		case len(typed) >= longest: // and no bell: a line that answers itself would ring for ever
		case k == keyOther:
			typed = append(typed, '?')
			c.echo("?")
		case k >= ' ' && k < 0x7f:
			typed = append(typed, byte(k))
			c.echo(string(rune(k)))
		}
	}
}

// confirmed asks for a word, and says whether it was typed.
func (c *Console) confirmed(what, word string) (bool, error) {
	c.lines(what)
	got, err := c.ask("Type " + word + " to do it, anything else not to: ")
	if err == nil && !strings.EqualFold(got, word) {
		c.line("Not done.")
	}
	return err == nil && strings.EqualFold(got, word), err
}
