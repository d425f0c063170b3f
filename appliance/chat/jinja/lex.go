package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	data kind = iota
	outputBegin
	outputEnd
	blockBegin
	blockEnd
	name
	text
	integer
	float
	operator
	end
)

type token struct {
	kind kind
	val  string // of a text: without its quotes and escapes
	line int
}

// lexer follows the rules of Jinja2's lexer with trim_blocks and lstrip_blocks: the line
// break behind a block or comment and the blanks before one on its line are not part of
// the text, but where the tag has a + there.
type lexer struct {
	src       string
	pos, line int
	fresh     bool // the text to come begins a line
	tokens    []token
}

// lex makes tokens of a source. It fails by a panic, as the parser does.
func lex(source string) []token {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	l := &lexer{src: strings.TrimSuffix(source, "\n"), line: 1, fresh: true}
	for l.pos < len(l.src) {
		l.root()
	}
	l.add(end, "")
	return l.tokens
}

func (l *lexer) add(k kind, val string) { l.tokens = append(l.tokens, token{k, val, l.line}) }

// skip goes n bytes on.
func (l *lexer) skip(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

func (l *lexer) rest() string { return l.src[l.pos:] }

func (l *lexer) fail(format string, args ...any) {
	defer func() { panic(caught(recover(), l.line)) }()
	fail(format, args...)
}

// root takes the text up to the next tag, and the tag.
func (l *lexer) root() {
	at := nextTag(l.rest())
	if at < 0 {
		l.data(l.rest(), 0, false)
		l.skip(len(l.rest()))
		return
	}
	tag := l.src[l.pos+at+1]
	sign := byte(0)
	if i := l.pos + at + 2; i < len(l.src) && (l.src[i] == '-' || l.src[i] == '+') {
		sign = l.src[i]
	}
	l.data(l.rest()[:at], sign, tag != '{')
	l.skip(at)
	l.fresh = false
	raw := l.rawBegin()
	if raw > 0 {
		l.skip(raw)
		l.raw()
		return
	}
	begin := 2
	if sign != 0 {
		begin = 3
	}
	switch tag {
	case '#':
		l.skip(begin)
		l.comment()
	case '%':
		l.add(blockBegin, "")
		l.skip(begin)
		l.inside(blockEnd, "%}")
	default:
		l.add(outputBegin, "")
		l.skip(begin)
		l.inside(outputEnd, "}}")
	}
}

func nextTag(s string) int {
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], '{')
		if i < 0 || at+i+1 >= len(s) {
			return -1
		}
		at += i
		if c := s[at+1]; c == '{' || c == '%' || c == '#' {
			return at
		}
	}
}

// data adds the text before a tag, stripped as the tag wants.
func (l *lexer) data(s string, sign byte, strips bool) {
	switch {
	case sign == '-':
		s = strings.TrimRightFunc(s, blank)
	case sign != '+' && strips:
		if at := strings.LastIndexByte(s, '\n') + 1; (at > 0 || l.fresh) && at < len(s) && strings.TrimLeftFunc(s[at:], blank) == "" {
			s = s[:at]
		}
	}
	if s != "" {
		l.add(data, s)
	}
}

// rawBegin is the length of a {% raw %} here, 0 for none.
func (l *lexer) rawBegin() int {
	s, ok := strings.CutPrefix(l.rest(), "{%")
	if !ok {
		return 0
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	if s, ok = strings.CutPrefix(strings.TrimLeftFunc(s, blank), "raw"); !ok {
		return 0
	}
	s = strings.TrimLeftFunc(s, blank)
	if after, ok := strings.CutPrefix(s, "-%}"); ok {
		return len(l.rest()) - len(strings.TrimLeftFunc(after, blank))
	}
	if after, ok := strings.CutPrefix(s, "%}"); ok {
		return len(l.rest()) - len(after)
	}
	return 0
}

// raw takes everything up to {% endraw %} as text.
func (l *lexer) raw() {
	if l.rest() == "" { // as Jinja2 has it
		return
	}
	for at := 0; ; at += 2 {
		i := strings.Index(l.rest()[at:], "{%")
		if i < 0 {
			l.fail("the end of raw is missing")
		}
		at += i
		s, sign := l.rest()[at+2:], byte(0)
		if s != "" && (s[0] == '-' || s[0] == '+') {
			s, sign = s[1:], s[0]
		}
		s, ok := strings.CutPrefix(strings.TrimLeftFunc(s, blank), "endraw")
		if !ok {
			continue
		}
		s = strings.TrimLeftFunc(s, blank)
		n := closing(s, "%}", true)
		if n == 0 {
			continue
		}
		l.data(l.rest()[:at], sign, true)
		l.leave(len(l.rest()) - len(s) + n)
		return
	}
}

// closing is the length of the end of a tag here and of what it takes with it; 0: none.
func closing(s, mark string, trims bool) int {
	if strings.HasPrefix(s, "-"+mark) {
		return len(s) - len(strings.TrimLeftFunc(s[1+len(mark):], blank))
	}
	if trims && strings.HasPrefix(s, "+"+mark) {
		return 1 + len(mark)
	}
	if !strings.HasPrefix(s, mark) {
		return 0
	}
	if trims && strings.HasPrefix(s[len(mark):], "\n") {
		return len(mark) + 1
	}
	return len(mark)
}

// leave goes n bytes on, to behind a tag.
func (l *lexer) leave(n int) {
	l.skip(n)
	l.fresh = l.src[l.pos-1] == '\n'
}

func (l *lexer) comment() {
	if l.rest() == "" { // as Jinja2 has it
		return
	}
	i := strings.Index(l.rest(), "#}")
	if i < 0 {
		l.fail("the end of a comment is missing")
	}
	if i > 0 && (l.rest()[i-1] == '-' || l.rest()[i-1] == '+') {
		i--
	}
	l.leave(i + closing(l.rest()[i:], "#}", true))
}

// operators, the longer ones first.
var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// inside takes the tokens of a tag and its end.
func (l *lexer) inside(k kind, mark string) {
	var open []byte
	for {
		l.skip(len(l.rest()) - len(strings.TrimLeftFunc(l.rest(), blank)))
		s := l.rest()
		if s == "" {
			l.fail("the end of a tag is missing")
		}
		if n := closing(s, mark, k == blockEnd); n > 0 && len(open) == 0 {
			l.add(k, "")
			l.leave(n)
			return
		}
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c >= '0' && c <= '9':
			l.number(s)
		case c == '\'' || c == '"':
			l.text(s)
		case wordRune(c) || c == '_':
			if !unicode.IsLetter(c) && c != '_' {
				l.fail("a name begins with %q", c)
			}
			n := size + len(s[size:]) - len(strings.TrimLeftFunc(s[size:], wordRune))
			l.add(name, s[:n])
			l.skip(n)
		default:
			open = l.operator(s, open)
		}
	}
}

func wordRune(c rune) bool {
	return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || unicode.IsNumber(c)
}

func (l *lexer) operator(s string, open []byte) []byte {
	for _, o := range operators {
		if !strings.HasPrefix(s, o) {
			continue
		}
		switch o {
		case "(":
			open = append(open, ')')
		case "[":
			open = append(open, ']')
		case "{":
			open = append(open, '}')
		case ")", "]", "}":
			if len(open) == 0 || open[len(open)-1] != o[0] {
				l.fail("unexpected %q", o)
			}
			open = open[:len(open)-1]
		}
		l.add(operator, o)
		l.skip(len(o))
		return open
	}
	c, _ := utf8.DecodeRuneInString(s)
	l.fail("unexpected character %q", c)
	return nil
}

// number takes a float or an integer, with _ between digits.
func (l *lexer) number(s string) {
	afterDot := l.pos > 0 && l.src[l.pos-1] == '.'
	if len(s) > 2 && s[0] == '0' && strings.ContainsRune("xXoObB", rune(s[1])) {
		n := 2
		for n < len(s) && (wordByte(s[n])) {
			n++
		}
		l.add(integer, strings.ReplaceAll(s[:n], "_", ""))
		l.skip(n)
		return
	}
	n, k := digits(s), integer
	if !afterDot {
		whole := n
		if n < len(s) && s[n] == '.' {
			if m := digits(s[n+1:]); m > 0 {
				n, k = n+1+m, float
			}
		}
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			m := n + 1
			if m < len(s) && (s[m] == '+' || s[m] == '-') {
				m++
			}
			if d := digits(s[m:]); d > 0 {
				n, k = m+d, float
			}
		}
		if k == integer {
			n = whole
		}
	}
	l.add(k, strings.ReplaceAll(s[:n], "_", ""))
	l.skip(n)
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func digits(s string) (n int) {
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '_' && n > 0 && n+1 < len(s) && s[n+1] >= '0' && s[n+1] <= '9') {
		n++
	}
	return n
}

func (l *lexer) text(s string) {
	i := 1
	for i < len(s) && s[i] != s[0] {
		if s[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(s) {
		l.fail("the end of a text in quotes is missing")
	}
	l.add(text, l.unescaped(s[1:i]))
	l.skip(i + 1)
}

// unescaped is a text in quotes as Python reads it.
func (l *lexer) unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for s != "" {
		if s[0] != '\\' || len(s) == 1 {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		c := s[1]
		s = s[2:]
		if i := strings.IndexByte("abfnrtv\\'\"", c); i >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\'\""[i])
			continue
		}
		switch {
		case c == '\n':
		case c == 'x':
			s = l.hex(&b, s, 2)
		case c == 'u':
			s = l.hex(&b, s, 4)
		case c == 'U':
			s = l.hex(&b, s, 8)
		case c >= '0' && c <= '7':
			n := 0
			for n < 2 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
				n++
			}
			v, _ := strconv.ParseUint(string(c)+s[:n], 8, 32)
			b.WriteRune(rune(v))
			s = s[n:]
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (l *lexer) hex(b *strings.Builder, s string, n int) string {
	if len(s) < n {
		l.fail("an escape in a text is cut short")
	}
	v, err := strconv.ParseUint(s[:n], 16, 32)
	if err != nil || v > unicode.MaxRune {
		l.fail("an escape in a text is not hexadecimal")
	}
	b.WriteRune(rune(v))
	return s[n:]
}
