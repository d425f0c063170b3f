package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Text is a string that knows which of its bytes are words of others: contents of
// messages, descriptions and arguments of tools. Every operation on texts keeps that;
// comparing them leaves it out of account.
type Text struct {
	s       string
	foreign []span // in order, apart from one another, none empty
	markup  bool   // Python's Markup: what is added to it by +, % or a method is escaped
}

type span struct{ from, to int } // bytes [from, to)

// Own is a text of the template's or the program's.
func Own(s string) Text { return Text{s: s} }

// Foreign is a text that holds words of others.
func Foreign(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{s: s, foreign: []span{{0, len(s)}}}
}

func (t Text) String() string { return t.s }

// Part of a text.
type Part struct {
	Text    string
	Foreign bool
}

// Parts of the text, each as long as it can be; joined they are the text.
func (t Text) Parts() (parts []Part) {
	at := 0
	for _, f := range t.foreign {
		if at < f.from {
			parts = append(parts, Part{t.s[at:f.from], false})
		}
		parts = append(parts, Part{t.s[f.from:f.to], true})
		at = f.to
	}
	if at < len(t.s) {
		parts = append(parts, Part{t.s[at:], false})
	}
	return parts
}

// Join puts texts one behind the other.
func Join(texts ...Text) (all Text) {
	for _, t := range texts {
		for _, f := range t.foreign {
			all.foreign = append(all.foreign, span{len(all.s) + f.from, len(all.s) + f.to})
		}
		all.s += t.s
	}
	return all
}

// slice is bytes [from, to).
func (t Text) slice(from, to int) Text {
	out := Text{s: t.s[from:to], markup: t.markup}
	first, _ := slices.BinarySearchFunc(t.foreign, from, func(f span, from int) int { return f.to - from - 1 })
	for _, f := range t.foreign[first:] {
		if f.from >= to {
			break
		}
		out.foreign = append(out.foreign, span{max(f.from, from) - from, min(f.to, to) - from})
	}
	return out
}

// from is the rest from byte i.
func (t Text) from(i int) Text { return t.slice(i, len(t.s)) }

// builder puts a text together.
type builder struct {
	r       *run
	b       strings.Builder
	foreign []span
}

func (r *run) builder() *builder { return &builder{r: r} }

func (b *builder) grow(n int) {
	if b.b.Len()+n > maxText {
		exceed("it builds a text of more than %d MB", maxText/1_000_000)
	}
	b.r.take(n)
}

func (b *builder) own(s string) {
	b.grow(len(s))
	b.b.WriteString(s)
}

func (b *builder) piece(s string, foreign bool) {
	if foreign && s != "" {
		b.mark(b.b.Len(), b.b.Len()+len(s))
	}
	b.own(s)
}

func (b *builder) mark(from, to int) {
	if n := len(b.foreign); n > 0 && b.foreign[n-1].to == from {
		b.foreign[n-1].to = to
		return
	}
	b.foreign = append(b.foreign, span{from, to})
}

func (b *builder) text(t Text) {
	b.grow(len(t.s))
	if len(t.foreign) > 0 {
		b.r.take(len(t.foreign) * 16)
	}
	for _, f := range t.foreign {
		b.mark(b.b.Len()+f.from, b.b.Len()+f.to)
	}
	b.b.WriteString(t.s)
}

func (b *builder) done() Text { return Text{s: b.b.String(), foreign: b.foreign} }

func (r *run) concat(texts ...Text) Text {
	b := r.builder()
	for _, t := range texts {
		b.text(t)
	}
	return b.done()
}

// mapped changes each part of a text alone.
func (r *run) mapped(t Text, change func(string) string) Text {
	b := r.builder()
	for _, p := range t.Parts() {
		b.piece(change(p.Text), p.Foreign)
	}
	return b.done().as(t)
}

// as makes a text Markup where another is.
func (t Text) as(other Text) Text {
	t.markup = other.markup
	return t
}

// beside is a text as it is added to another: escaped where that alone is Markup.
func (r *run) beside(t, other Text) Text {
	if t.markup || !other.markup {
		return t
	}
	return r.escape(t).as(other)
}

// mapRunes changes a text character by character, from the beginning.
func (r *run) mapRunes(t Text, change func(rune) string) Text {
	return r.mapped(t, func(s string) string {
		var b strings.Builder
		for _, c := range s {
			b.WriteString(change(c))
		}
		return b.String()
	})
}

// repeat is the text n times.
func (r *run) repeat(t Text, n int) Text {
	if n <= 0 || t.s == "" {
		return Text{}
	}
	if n > maxText/len(t.s) {
		exceed("it builds a text of more than %d MB", maxText/1_000_000)
	}
	b := r.builder()
	for range n {
		b.text(t)
	}
	return b.done().as(t)
}

// trim takes characters off the ends.
func (t Text) trim(drop func(rune) bool, left, right bool) Text {
	from, to := 0, len(t.s)
	if left {
		from = len(t.s) - len(strings.TrimLeftFunc(t.s, drop))
	}
	if right {
		to = max(from, len(strings.TrimRightFunc(t.s, drop)))
	}
	return t.slice(from, to)
}

// runes of a text, each a text.
func (r *run) runes(t Text) []Value {
	r.take(itemBytes * utf8.RuneCountInString(t.s))
	list := make([]Value, 0, len(t.s))
	for at := 0; at < len(t.s); {
		_, n := utf8.DecodeRuneInString(t.s[at:])
		list = append(list, t.slice(at, at+n))
		at += n
	}
	return list
}

// at is character i of n, the byte where it begins.
func (t Text) at(i int) int {
	for at := range t.s {
		if i == 0 {
			return at
		}
		i--
	}
	return len(t.s)
}

// length in characters, as Python counts.
func (t Text) length() int { return utf8.RuneCountInString(t.s) }

// blank is what Python takes for white space.
func blank(c rune) bool {
	switch c {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0x1c, 0x1d, 0x1e, 0x1f, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return c >= 0x2000 && c <= 0x200a
}
