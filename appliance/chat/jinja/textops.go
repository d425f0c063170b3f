package jinja

import (
	"math"
	"strings"
	"unicode/utf8"
)

// split at a separator, or at white space.
func (r *run) split(t Text, a args, last bool) Value {
	b := a.bind("split", "sep", "maxsplit")
	most := intOf(or(b[1], int64(-1)))
	if most < 0 {
		most = math.MaxInt
	}
	sep := or(b[0], nil)
	if sep == nil {
		return &List{r.fields(t, most, last)}
	}
	s := wanted(sep).s
	if s == "" {
		fail("empty separator")
	}
	var parts []Value
	for ; most > 0; most-- {
		i := strings.Index(t.s, s)
		if last {
			i = strings.LastIndex(t.s, s)
		}
		if i < 0 {
			break
		}
		r.take(itemBytes)
		r.step(1)
		if last {
			parts, t = append(parts, t.from(i+len(s))), t.slice(0, i)
		} else {
			parts, t = append(parts, t.slice(0, i)), t.from(i+len(s))
		}
	}
	return &List{inOrder(append(parts, t), last)}
}

func inOrder(parts []Value, reversed bool) []Value {
	if reversed {
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	return parts
}

// fields of a text between white space; the last of most+1 keeps the blanks at its far
// end.
func (r *run) fields(t Text, most int, last bool) (parts []Value) {
	for t = t.trim(blank, !last, last); t.s != ""; t = t.trim(blank, !last, last) {
		r.take(itemBytes)
		r.step(1)
		i := strings.IndexFunc(t.s, blank)
		if last {
			i = strings.LastIndexFunc(t.s, blank)
		}
		if i < 0 || most == 0 {
			parts = append(parts, t)
			break
		}
		most--
		if last {
			_, n := utf8.DecodeRuneInString(t.s[i:])
			parts, t = append(parts, t.from(i+n)), t.slice(0, i)
		} else {
			parts, t = append(parts, t.slice(0, i)), t.from(i)
		}
	}
	return inOrder(parts, last)
}

func partition(t Text, a args, last bool) Value {
	sep := one(a)
	if sep.s == "" {
		fail("empty separator")
	}
	i := strings.Index(t.s, sep.s)
	if last {
		i = strings.LastIndex(t.s, sep.s)
	}
	switch {
	case i >= 0:
		return &Tuple{Items: []Value{t.slice(0, i), sep, t.from(i + len(sep.s))}}
	case last:
		return &Tuple{Items: []Value{Text{}, Text{}, t}}
	}
	return &Tuple{Items: []Value{t, Text{}, Text{}}}
}

// lines of a text; Python ends lines at more than a line break.
func (r *run) lines(t Text, keep bool) []Value {
	list := []Value{}
	for t.s != "" {
		r.step(1)
		i := strings.IndexFunc(t.s, lineEnd)
		if i < 0 {
			return append(list, t)
		}
		_, n := utf8.DecodeRuneInString(t.s[i:])
		if strings.HasPrefix(t.s[i:], "\r\n") {
			n = 2
		}
		if keep {
			list = append(list, t.slice(0, i+n))
		} else {
			list = append(list, t.slice(0, i))
		}
		t = t.from(i + n)
	}
	return list
}

func lineEnd(c rune) bool {
	return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029
}

// replace n times, all for an n below 0.
func (r *run) replace(t, from, to Text, n int) Text {
	b := r.builder()
	if from.s == "" {
		return r.between(t, to, n)
	}
	for ; n != 0; n-- {
		i := strings.Index(t.s, from.s)
		if i < 0 {
			break
		}
		r.step(1)
		b.text(t.slice(0, i))
		b.text(r.beside(to, t))
		t = t.from(i + len(from.s))
	}
	b.text(t)
	return b.done().as(t)
}

// between puts a text before, between and behind the characters of another.
func (r *run) between(t, to Text, n int) Text {
	b := r.builder()
	for i, c := range r.runes(t) {
		r.step(1)
		if n < 0 || i < n {
			b.text(to)
		}
		b.text(c.(Text))
	}
	if n < 0 || t.length() < n {
		b.text(to)
	}
	return b.done()
}

// join texts with another between them.
func (r *run) join(items []Value, between Text) Text {
	b := r.builder()
	for i, x := range items {
		r.step(1)
		if i > 0 {
			b.text(between)
		}
		b.text(r.beside(wanted(x), between))
	}
	return b.done().as(between)
}
