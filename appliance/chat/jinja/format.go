package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// spec is how a value is formatted, by % and by format.
type spec struct {
	fill             Text
	align            byte // < > ^ =, 0 for the type's own
	sign             byte // + - or a blank
	alternative      bool // #
	width, precision int  // precision -1: not given
	group            byte // , or _
	kind             byte // 0: not given
}

func (r *run) formatText(s spec, t Text) Text {
	if s.precision >= 0 && s.precision < t.length() {
		t = t.slice(0, t.at(s.precision))
	}
	align := s.align
	if align == 0 {
		align = '<'
	}
	return r.aligned(s, Text{}, t, align)
}

func (r *run) formatInteger(s spec, n *big.Int) Text {
	base, prefix := 10, ""
	switch s.kind {
	case 'x', 'X':
		base, prefix = 16, "0"+string(s.kind)
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	}
	digits := new(big.Int).Abs(n).Text(base)
	if s.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if s.precision > len(digits) {
		digits = r.repeat(Own("0"), s.precision-len(digits)).s + digits
	}
	if !s.alternative {
		prefix = ""
	}
	return r.numeric(s, n.Sign() < 0, prefix, digits, "")
}

func (r *run) formatFloat(s spec, f float64) Text {
	kind, suffix := s.kind, ""
	switch kind {
	case 'F':
		kind = 'f'
	case 'n':
		kind = 'g'
	case '%':
		kind, f, suffix = 'f', f*100, "%"
	}
	if s.precision > 1000 {
		fail("a precision is too large")
	}
	if kind == 'g' || kind == 'G' {
		s.precision = max(s.precision, 1)
	}
	digits := strconv.FormatFloat(math.Abs(f), kind, s.precision, 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		digits = strings.TrimPrefix(floatText(f), "-")
	}
	return r.numeric(s, math.Signbit(f), "", digits, suffix)
}

// numeric puts sign, prefix and digits together.
func (r *run) numeric(s spec, negative bool, prefix, digits, suffix string) Text {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case s.sign == '+' || s.sign == ' ':
		sign = string(s.sign)
	}
	if s.group != 0 {
		digits = grouped(digits, s.group)
	}
	align := s.align
	if align == 0 {
		align = '>'
	}
	return r.aligned(s, Own(sign+prefix), Own(digits+suffix), align)
}

func grouped(digits string, mark byte) string {
	whole, rest := digits, ""
	if i := strings.IndexAny(digits, ".e"); i >= 0 {
		whole, rest = digits[:i], digits[i:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + string(mark) + whole[i:]
	}
	return whole + rest
}

func (r *run) aligned(s spec, head, t Text, align byte) Text {
	n := s.width - head.length() - t.length()
	switch {
	case n <= 0:
		return r.concat(head, t)
	case align == '=':
		return r.concat(head, r.repeat(s.fill, n), t)
	case align == '^':
		return r.concat(r.repeat(s.fill, n/2), head, t, r.repeat(s.fill, n-n/2))
	case align == '<':
		return r.concat(head, t, r.repeat(s.fill, n))
	}
	return r.concat(r.repeat(s.fill, n), head, t)
}

// format is str.format.
func (r *run) format(t Text, a args) Value {
	b := r.builder()
	next := 0
	r.formatTo(b, t, a, &next, 0)
	return b.done()
}

func (r *run) formatTo(b *builder, t Text, a args, next *int, depth int) {
	for {
		i := strings.IndexAny(t.s, "{}")
		if i < 0 {
			b.text(t)
			return
		}
		b.text(t.slice(0, i))
		c := t.s[i]
		t = t.from(i + 1)
		if strings.HasPrefix(t.s, string(c)) {
			b.own(string(c))
			t = t.from(1)
			continue
		}
		n := fieldEnd(t.s)
		if c == '}' || n < 0 || depth > 1 {
			fail("a brace of the format stands alone")
		}
		r.field(b, t.slice(0, n), a, next, depth)
		t = t.from(n + 1)
	}
}

func fieldEnd(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// field is one {…}: a name, a conversion, a specification.
func (r *run) field(b *builder, t Text, a args, next *int, depth int) {
	name, how := t, Text{}
	if i := strings.IndexByte(t.s, ':'); i >= 0 {
		name, how = t.slice(0, i), t.from(i+1)
	}
	conversion := ""
	if i := strings.IndexByte(name.s, '!'); i >= 0 {
		conversion = name.s[i+1:]
		name = name.slice(0, i)
	}
	v := r.fieldValue(name.s, a, next)
	switch conversion {
	case "":
	case "s":
		v = r.str(v)
	case "r", "a":
		inner := r.builder()
		r.repr(inner, v, 0)
		v = inner.done()
	default:
		fail("unknown conversion of a format")
	}
	if strings.Contains(how.s, "{") {
		inner := r.builder()
		r.formatTo(inner, how, a, next, depth+1)
		how = inner.done()
	}
	b.text(r.formatted(v, how))
}

func (r *run) fieldValue(name string, a args, next *int) Value {
	i := strings.IndexAny(name, ".[")
	if i < 0 {
		i = len(name)
	}
	first, rest := name[:i], name[i:]
	var v Value
	if first == "" {
		first = strconv.Itoa(*next)
		*next++
	}
	if n, err := strconv.Atoi(first); err == nil {
		if n < 0 || n >= len(a.pos) {
			fail("replacement index %d out of range for positional args tuple", n)
		}
		v = a.pos[n]
	} else if x, ok := a.named(first); ok {
		v = x
	} else {
		fail("a field of the format is not given")
	}
	for rest != "" {
		if rest[0] == '.' {
			n := strings.IndexAny(rest[1:], ".[") + 1
			if n == 0 {
				n = len(rest)
			}
			v, rest = must(r.attribute(v, rest[1:n])), rest[n:]
			continue
		}
		n := strings.IndexByte(rest, ']')
		if n < 0 {
			fail("a bracket of the format is not closed")
		}
		var key Value = Own(rest[1:n])
		if k, err := strconv.ParseInt(rest[1:n], 10, 64); err == nil {
			key = k
		}
		v, rest = must(r.item(v, key)), rest[n+1:]
	}
	return v
}

// formatted is a value by a specification of format.
func (r *run) formatted(v Value, how Text) Text {
	if how.s == "" {
		return r.str(v)
	}
	s := formatSpec(how)
	switch x := must(v).(type) {
	case Text:
		if s.kind != 0 && s.kind != 's' || s.align == '=' {
			fail("a format is not for 'str'")
		}
		return r.formatText(s, x)
	case int64, *big.Int, bool:
		switch s.kind {
		case 0, 'd', 'x', 'X', 'o', 'b', 'n':
			if _, ok := x.(bool); ok && s.kind == 0 {
				return r.formatText(s, r.str(x))
			}
			s.precision = -1
			return r.formatInteger(s, bigOf(x))
		case 'c':
			return r.formatText(s, Own(string(rune(intOf(x)))))
		}
	case float64:
		if s.kind == 0 && s.precision < 0 {
			return r.numeric(s, math.Signbit(x), "", strings.TrimPrefix(floatText(x), "-"), "")
		}
	default:
		fail("unsupported format string passed to %s.__format__", typeName(v))
	}
	f, ok := floatOf(v)
	if !ok || strings.IndexByte("eEfFgGn%\x00", s.kind) < 0 {
		fail("unknown format code %q for object of type '%s'", s.kind, typeName(v))
	}
	if s.kind == 0 {
		s.kind = 'g'
	}
	if s.precision < 0 {
		s.precision = 6
	}
	return r.formatFloat(s, f)
}

func formatSpec(t Text) spec {
	s := spec{fill: Own(" "), precision: -1}
	isAlign := func(i int) bool { return i < len(t.s) && strings.IndexByte("<>=^", t.s[i]) >= 0 }
	if first := t.at(1); t.s != "" && isAlign(first) {
		s.fill, s.align = t.slice(0, first), t.s[first]
		t = t.from(first + 1)
	} else if isAlign(0) {
		s.align = t.s[0]
		t = t.from(1)
	}
	has := func(c string) bool {
		if strings.HasPrefix(t.s, c) {
			t = t.from(1)
			return true
		}
		return false
	}
	number := func() int {
		n := len(t.s) - len(strings.TrimLeft(t.s, "0123456789"))
		v := decimal(t.s[:n])
		t = t.from(n)
		return v
	}
	for _, c := range []byte("+- ") {
		if has(string(c)) {
			s.sign = c
			break
		}
	}
	s.alternative = has("#")
	if strings.HasPrefix(t.s, "0") && s.align == 0 {
		s.fill, s.align = Own("0"), '='
	}
	s.width = number()
	for _, c := range []byte(",_") {
		if has(string(c)) {
			s.group = c
		}
	}
	if has(".") {
		s.precision = number()
	}
	if len(t.s) > 1 {
		fail("invalid format specifier")
	}
	if t.s != "" {
		s.kind = t.s[0]
	}
	return s
}
