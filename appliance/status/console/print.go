package console

import (
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// printer writes ASCII lines that fit the terminal. Its first error stays, and ends
// all writing.
type printer struct {
	to   io.Writer
	raw  bool
	size func() (width, height int)
	err  error
}

// raws writes text of this package as it is, but for newlines.
func (p *printer) raws(s string) {
	if p.err != nil {
		return
	}
	if p.raw {
		s = strings.ReplaceAll(s, "\n", "\r\n")
	}
	_, p.err = io.WriteString(p.to, s)
}

// echo writes what a terminal in raw mode does not show by itself.
func (p *printer) echo(s string) {
	if p.raw {
		p.raws(s)
	}
}

// cut makes text one harmless line that fits.
func (p *printer) cut(s string) string {
	s = plain(s)
	if w := p.width(); len(s) > w {
		s = s[:w-3] + "..."
	}
	return s + "\n"
}

// line prints text as one.
func (p *printer) line(s string) { p.raws(p.cut(s)) }

// width that may be used: the last column is left free, since terminals differ in
// what they do after it.
func (p *printer) width() int {
	w, _ := p.size()
	return min(max(w, 40), 200) - 1
}

// lines prints text, long lines of it wrapped with the indent of their first.
func (p *printer) lines(s string) {
	for l := range strings.Lines(s) {
		for _, part := range wrap(plain(strings.TrimRight(l, "\n")), p.width()) {
			p.line(part)
		}
	}
}

// page prints text that is plain already, and waits for a key whenever the terminal
// is full. The error is errInterrupted where the user has seen enough.
func (c *Console) page(text string) error {
	_, height := c.size()
	room := max(height, 5) - 1
	shown := 0
	for l := range strings.Lines(text) {
		if shown == room-1 {
			if err := c.more(); err != nil {
				return err
			}
			shown = 0
		}
		c.line(strings.TrimRight(l, "\n"))
		shown++
	}
	return c.err
}

func (c *Console) more() error {
	const more = "-- more: any key, q ends --"
	redraw := func() { c.raws(more) }
	redraw()
	k, err := c.key(redraw)
	c.raws("\n")
	if err == nil && (k == 'q' || k == keyInterrupt || k == keyEnd) {
		err = errInterrupted
	}
	return err
}

// wrap breaks a line of ASCII at spaces, if it can.
func wrap(s string, width int) (parts []string) {
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	if len(indent) > width/2 {
		indent = ""
	}
	for len(s) > width {
		at := strings.LastIndexByte(s[:width+1], ' ')
		if at <= len(indent) {
			at = width
		}
		parts = append(parts, strings.TrimRight(s[:at], " "))
		s = indent + strings.TrimLeft(s[at:], " ")
	}
	return append(parts, s)
}

// spelled are characters that decompose to nothing ASCII has.
var spelled = strings.NewReplacer("°", "", "–", "-", "—", "-", "‘", "'", "’", "'", "“", `"`, "”", `"`,
	"•", "*", "·", "-", "×", "x", "≥", ">=", "≤", "<=", "→", "->", "µ", "u", "ß", "ss", "æ", "ae", "ø", "o", "\t", " ")

// plain makes text of anyone printable ASCII: accents go, what else is left becomes
// a question mark, and control characters, whatever they would have done, a dot.
func plain(s string) string {
	clean := func(r rune) rune {
		switch {
		case r >= ' ' && r < 0x7f:
			return r
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsControl(r):
			return '.'
		}
		return '?'
	}
	if strings.IndexFunc(s, func(r rune) bool { return clean(r) != r }) < 0 {
		return s
	}
	return strings.Map(clean, norm.NFKD.String(spelled.Replace(strings.ToValidUTF8(s, "?"))))
}
