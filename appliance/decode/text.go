package decode

import (
	"strings"
	"unicode/utf8"
)

// textJoiner turns token pieces into text that never ends inside a character.
type textJoiner struct{ pending []byte }

func (t *textJoiner) push(piece []byte) string {
	t.pending = append(t.pending, piece...)
	n := len(t.pending)
	for i := 1; i <= min(utf8.UTFMax, n); i++ {
		if b := t.pending[n-i]; utf8.RuneStart(b) {
			if !utf8.FullRune(t.pending[n-i:]) {
				n -= i
			}
			break
		}
	}
	out := strings.ToValidUTF8(string(t.pending[:n]), "\uFFFD")
	t.pending = append(t.pending[:0], t.pending[n:]...)
	return out
}

// flush ends the text. What is pending is the beginning of a character whose rest never
// came: the text ends before it.
func (t *textJoiner) flush() string {
	t.pending = nil
	return ""
}
