package cli

import (
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// wrapper breaks the lines of a text that grows before the words that would not fit, where a
// terminal would break in the middle of them. Code and tables are left as they are, so that
// they can be copied: lines of a fenced block, indented ones, and those that begin with a
// bar. A word that is longer than a line is left to the terminal.
type wrapper struct {
	col    int     // columns of the line that are taken
	word   []piece // the last word, as far as it was printed
	width  int     // of the word, in columns
	begun  int     // column where it begins
	line   strings.Builder
	fenced bool // within a fenced block
}

// piece of a word, in one colour.
type piece struct{ tint, text string }

// narrowest is the least width of a terminal that lines are broken for.
const narrowest = 20

// add returns what is to be printed for text in a colour, on a terminal that is columns wide.
func (w *wrapper) add(text, tint string, columns int) string {
	var out strings.Builder
	paint := func(s string) {
		if tint != "" && s != "" {
			s = tint + s + untint
		}
		out.WriteString(s)
	}
	plain := 0 // from where on text is not in out yet
	for i, r := range text {
		switch n := runewidth.RuneWidth(r); {
		case r == '\n':
			w.endLine()
		case unicode.IsSpace(r):
			w.line.WriteRune(r)
			w.col += n
			w.word, w.width, w.begun = w.word[:0], 0, w.col
		default:
			w.line.WriteRune(r)
			if columns >= narrowest && !w.kept() && w.col+n >= columns && w.begun > 0 {
				paint(text[plain:i])
				plain = i
				out.WriteString(w.broken())
			}
			w.col += n
			w.width += n
			if last := len(w.word) - 1; last >= 0 && w.word[last].tint == tint {
				w.word[last].text += string(r)
			} else {
				w.word = append(w.word, piece{tint, string(r)})
			}
		}
	}
	paint(text[plain:])
	return out.String()
}

// folded breaks a line that is known whole between words, and indents what follows.
func folded(line string, indent, columns int) string {
	var out strings.Builder
	col := 0
	for i, word := range strings.Split(line, " ") {
		n := runewidth.StringWidth(word)
		switch {
		case i == 0:
		case n > 0 && columns >= narrowest && col+1+n >= columns && col > indent:
			out.WriteString("\n" + strings.Repeat(" ", indent))
			col = indent
		default:
			out.WriteByte(' ')
			col++
		}
		out.WriteString(word)
		col += n
	}
	return out.String()
}

// broken takes the word that was begun to the next line.
func (w *wrapper) broken() string {
	var out strings.Builder
	if w.width > 0 {
		out.WriteString(strings.Repeat("\b", w.width) + "\x1b[K")
	}
	out.WriteByte('\n')
	for _, p := range w.word {
		if p.tint == "" {
			out.WriteString(p.text)
		} else {
			out.WriteString(p.tint + p.text + untint)
		}
	}
	w.begun, w.col = 0, w.width
	return out.String()
}

// kept says whether the line is one that is left as it is.
func (w *wrapper) kept() bool {
	line := w.line.String()
	return w.fenced || strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t") || strings.HasPrefix(strings.TrimSpace(line), "|")
}

// endLine begins a new line of the text.
func (w *wrapper) endLine() {
	if t := strings.TrimSpace(w.line.String()); strings.HasPrefix(t, "```") || strings.HasPrefix(t, "~~~") {
		w.fenced = !w.fenced
	}
	w.line.Reset()
	w.word, w.width, w.begun, w.col = w.word[:0], 0, 0, 0
}
