package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// textMethods are those of Python's str. Each keeps track of whose words are whose.
var textMethods map[string]func(r *run, t Text, a args) Value

func init() {
	textMethods = map[string]func(r *run, t Text, a args) Value{
		"strip":      stripMethod(true, true),
		"lstrip":     stripMethod(true, false),
		"rstrip":     stripMethod(false, true),
		"startswith": affixMethod(strings.HasPrefix),
		"endswith":   affixMethod(strings.HasSuffix),
		"split":      func(r *run, t Text, a args) Value { return r.split(t, a, false) },
		"rsplit":     func(r *run, t Text, a args) Value { return r.split(t, a, true) },
		"splitlines": func(r *run, t Text, a args) Value {
			return r.list(r.lines(t, truth(or(a.bind("splitlines", "keepends")[0], false))))
		},
		"partition":    func(r *run, t Text, a args) Value { return partition(t, a, false) },
		"rpartition":   func(r *run, t Text, a args) Value { return partition(t, a, true) },
		"removeprefix": func(r *run, t Text, a args) Value { return t.from(len(t.s) - len(strings.TrimPrefix(t.s, one(a).s))) },
		"removesuffix": func(r *run, t Text, a args) Value { return t.slice(0, len(strings.TrimSuffix(t.s, one(a).s))) },
		"replace": func(r *run, t Text, a args) Value {
			b := a.bind("replace", "old", "new", "count")
			return r.replace(t, wanted(b[0]), wanted(b[1]), intOf(or(b[2], int64(-1))))
		},
		"join":       func(r *run, t Text, a args) Value { return r.join(r.items(must(a.bind("join", "iterable")[0])), t) },
		"upper":      func(r *run, t Text, _ args) Value { return r.upper(t) },
		"lower":      func(r *run, t Text, _ args) Value { return r.lower(t) },
		"casefold":   func(r *run, t Text, _ args) Value { return r.mapped(t, cases.Fold().String) },
		"title":      func(r *run, t Text, _ args) Value { return r.title(t) },
		"capitalize": func(r *run, t Text, _ args) Value { return r.capitalize(t) },
		"swapcase": func(r *run, t Text, _ args) Value {
			return r.mapRunes(t, func(c rune) string {
				if unicode.IsUpper(c) {
					return string(unicode.ToLower(c))
				}
				return strings.ToUpper(string(c))
			})
		},
		"find":   func(r *run, t Text, a args) Value { return find(t, a, strings.Index) },
		"rfind":  func(r *run, t Text, a args) Value { return find(t, a, strings.LastIndex) },
		"index":  func(r *run, t Text, a args) Value { return found(find(t, a, strings.Index)) },
		"rindex": func(r *run, t Text, a args) Value { return found(find(t, a, strings.LastIndex)) },
		"count":  func(r *run, t Text, a args) Value { return count(t, a) },
		"format": func(r *run, t Text, a args) Value { return r.format(t, a) },
		"center": func(r *run, t Text, a args) Value { return padMethod(r, t, a, '^') },
		"ljust":  func(r *run, t Text, a args) Value { return padMethod(r, t, a, '<') },
		"rjust":  func(r *run, t Text, a args) Value { return padMethod(r, t, a, '>') },
		"zfill":  func(r *run, t Text, a args) Value { return zfill(r, t, intOf(a.bind("zfill", "width")[0])) },
		"expandtabs": func(r *run, t Text, a args) Value {
			return r.expandTabs(t, intOf(or(a.bind("expandtabs", "tabsize")[0], int64(8))))
		},
		"isalpha":   all(unicode.IsLetter),
		"isalnum":   all(func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }),
		"isdigit":   all(unicode.IsDigit),
		"isdecimal": all(unicode.IsDigit),
		"isnumeric": all(unicode.IsNumber),
		"isspace":   all(blank),
		"isascii": func(_ *run, t Text, _ args) Value {
			return strings.IndexFunc(t.s, func(c rune) bool { return c > 127 }) < 0
		},
		"isprintable": func(_ *run, t Text, _ args) Value {
			return strings.IndexFunc(t.s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
		},
		"isupper": func(_ *run, t Text, _ args) Value { return cased(t.s, unicode.IsUpper, unicode.IsLower) },
		"islower": func(_ *run, t Text, _ args) Value { return cased(t.s, unicode.IsLower, unicode.IsUpper) },
		"istitle": func(_ *run, t Text, _ args) Value {
			return titled(t.s)
		},
		"isidentifier": func(_ *run, t Text, _ args) Value {
			first, _ := utf8.DecodeRuneInString(t.s)
			return t.s != "" && (first == '_' || unicode.IsLetter(first)) && strings.IndexFunc(t.s, func(c rune) bool { return !wordRune(c) }) < 0
		},
	}
}

// wanted is an argument that must be a text.
func wanted(v Value) Text {
	if _, ok := v.(unset); ok {
		fail("an argument is missing")
	}
	t, ok := must(v).(Text)
	if !ok {
		fail("an argument must be a str, not %s", typeName(v))
	}
	return t
}

// one is the only argument, a text.
func one(a args) Text { return wanted(a.bind("the method", "text")[0]) }

// dropper tells the characters that are stripped: those of a text, or white space.
func dropper(v Value) func(rune) bool {
	if _, ok := v.(unset); ok || v == nil {
		return blank
	}
	chars := wanted(v).s
	return func(c rune) bool { return strings.ContainsRune(chars, c) }
}

func stripMethod(left, right bool) func(*run, Text, args) Value {
	return func(_ *run, t Text, a args) Value {
		return t.trim(dropper(a.bind("strip", "chars")[0]), left, right)
	}
}

func affixMethod(has func(s, affix string) bool) func(*run, Text, args) Value {
	return func(r *run, t Text, a args) Value {
		b := a.bind("the method", "affix", "start", "end")
		s := within(t, b[1], b[2]).s
		affixes, ok := b[0].(*Tuple)
		if !ok {
			return has(s, wanted(b[0]).s)
		}
		for _, x := range affixes.Items {
			if has(s, wanted(x).s) {
				return true
			}
		}
		return false
	}
}

// within is the text from one character up to another, each of which may not be given.
func within(t Text, from, to Value) Text {
	f, o, _ := bounds(t.length(), [3]Value{or(from, nil), or(to, nil), nil})
	if f >= o {
		return Text{}
	}
	return t.slice(t.at(f), t.at(o))
}

func find(t Text, a args, index func(s, sub string) int) int64 {
	b := a.bind("find", "sub", "start", "end")
	part := within(t, b[1], b[2])
	i := index(part.s, wanted(b[0]).s)
	if i < 0 {
		return -1
	}
	from, _, _ := bounds(t.length(), [3]Value{or(b[1], nil), nil, nil})
	return int64(from + utf8.RuneCountInString(part.s[:i]))
}

func found(i int64) Value {
	if i < 0 {
		fail("substring not found")
	}
	return i
}

func count(t Text, a args) Value {
	b := a.bind("count", "sub", "start", "end")
	return int64(strings.Count(within(t, b[1], b[2]).s, wanted(b[0]).s))
}

func (r *run) upper(t Text) Text { return r.mapped(t, cases.Upper(language.Und).String) }
func (r *run) lower(t Text) Text { return r.mapped(t, cases.Lower(language.Und).String) }

func (r *run) capitalize(t Text) Text {
	first := true
	return r.mapRunes(t, func(c rune) string {
		if first {
			first = false
			return string(unicode.ToTitle(c))
		}
		return string(unicode.ToLower(c))
	})
}

// title has each run of letters begin with a capital.
func (r *run) title(t Text) Text {
	inWord := false
	return r.mapRunes(t, func(c rune) string {
		was := inWord
		inWord = unicode.IsLetter(c)
		if was {
			return string(unicode.ToLower(c))
		}
		return string(unicode.ToTitle(c))
	})
}

func titled(s string) bool {
	inWord, any := false, false
	for _, c := range s {
		switch {
		case unicode.IsUpper(c) || unicode.IsTitle(c):
			if inWord {
				return false
			}
			inWord, any = true, true
		case unicode.IsLower(c):
			if !inWord {
				return false
			}
		default:
			inWord = false
		}
	}
	return any
}

func all(is func(rune) bool) func(*run, Text, args) Value {
	return func(_ *run, t Text, _ args) Value {
		return t.s != "" && strings.IndexFunc(t.s, func(c rune) bool { return !is(c) }) < 0
	}
}

func cased(s string, is, not func(rune) bool) bool {
	return strings.IndexFunc(s, is) >= 0 && strings.IndexFunc(s, not) < 0
}

func padMethod(r *run, t Text, a args, align byte) Value {
	b := a.bind("the method", "width", "fillchar")
	return r.pad(t, intOf(b[0]), wanted(or(b[1], Own(" "))), align)
}

// pad a text to a width in characters.
func (r *run) pad(t Text, width int, fill Text, align byte) Text {
	n := width - t.length()
	if n <= 0 {
		return t
	}
	left, right := 0, 0
	switch align {
	case '<':
		right = n
	case '>':
		left = n
	default: // as str.center: an odd blank goes to the left of an odd width
		left = n/2 + n&width&1
		right = n - left
	}
	return r.concat(r.repeat(fill, left), t, r.repeat(fill, right))
}

func zfill(r *run, t Text, width int) Text {
	n := width - t.length()
	if n <= 0 {
		return t
	}
	sign := 0
	if t.s != "" && (t.s[0] == '-' || t.s[0] == '+') {
		sign = 1
	}
	return r.concat(t.slice(0, sign), r.repeat(Own("0"), n), t.from(sign))
}

func (r *run) expandTabs(t Text, size int) Text {
	if size > 1024 {
		fail("tabs are too wide")
	}
	column := 0
	return r.mapRunes(t, func(c rune) string {
		switch c {
		case '\t':
			n := 0
			if size > 0 {
				n = size - column%size
			}
			column += n
			return strings.Repeat(" ", n)
		case '\n', '\r':
			column = 0
		default:
			column++
		}
		return string(c)
	})
}
