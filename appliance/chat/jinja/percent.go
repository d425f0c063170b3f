package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// percent is a text with values put in by %, as Python does it.
func (r *run) percent(t Text, with Value) Value {
	b := r.builder()
	values, single := []Value{with}, true
	if tuple, ok := with.(*Tuple); ok {
		values, single = tuple.Items, false
	}
	mapping, _ := with.(*Dict)
	next := 0
	take := func() Value {
		if next >= len(values) {
			fail("not enough arguments for format string")
		}
		next++
		return values[next-1]
	}
	for {
		i := strings.IndexByte(t.s, '%')
		if i < 0 {
			break
		}
		b.text(t.slice(0, i))
		t = t.from(i + 1)
		if strings.HasPrefix(t.s, "%") {
			b.own("%")
			t = t.from(1)
			continue
		}
		value := take
		if strings.HasPrefix(t.s, "(") {
			n := strings.IndexByte(t.s, ')')
			if n < 0 || mapping == nil {
				fail("format requires a mapping")
			}
			key := t.slice(1, n)
			t = t.from(n + 1)
			value = func() Value {
				next = len(values)
				v, ok := mapping.Get(key)
				if !ok {
					fail("a key of the format is not in the mapping")
				}
				return v
			}
		}
		var s spec
		s, t = percentSpec(t, take)
		b.text(r.beside(r.percented(s, value()), t))
	}
	_, list := with.(*List) // to Python's format as much a mapping
	if next < len(values) && !(single && (mapping != nil || list)) {
		fail("not all arguments converted during string formatting")
	}
	b.text(t)
	return b.done().as(t)
}

// percentSpec reads what stands behind a %.
func percentSpec(t Text, take func() Value) (spec, Text) {
	s := spec{fill: Own(" "), align: '>', precision: -1}
	zero := false
	i := 0
flags:
	for ; i < len(t.s); i++ {
		switch t.s[i] {
		case '-':
			s.align = '<'
		case '+':
			s.sign = '+'
		case ' ':
			if s.sign == 0 {
				s.sign = ' '
			}
		case '#':
			s.alternative = true
		case '0':
			zero = true
		default:
			break flags
		}
	}
	number := func() (n int) {
		if i < len(t.s) && t.s[i] == '*' {
			i++
			return intOf(take())
		}
		from := i
		for i < len(t.s) && t.s[i] >= '0' && t.s[i] <= '9' {
			i++
		}
		return decimal(t.s[from:i])
	}
	s.width = number()
	if i < len(t.s) && t.s[i] == '.' {
		i++
		s.precision = number()
	}
	for i < len(t.s) && strings.IndexByte("hlL", t.s[i]) >= 0 {
		i++
	}
	if i == len(t.s) {
		fail("incomplete format")
	}
	s.kind = t.s[i]
	if zero && s.align != '<' && strings.IndexByte("sarc", s.kind) < 0 {
		s.fill, s.align = Own("0"), '='
	}
	return s, t.from(i + 1)
}

// decimal is a width or precision; nothing is 0.
func decimal(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxText {
		fail("a width is too large")
	}
	return n
}

func (r *run) percented(s spec, v Value) Text {
	switch s.kind {
	case 's':
		return r.formatText(s, r.str(v))
	case 'r', 'a':
		b := r.builder()
		r.repr(b, v, 0)
		return r.formatText(s, b.done())
	case 'c':
		if t, ok := v.(Text); ok && t.length() == 1 {
			return r.formatText(s, t)
		}
		return r.formatText(s, Own(string(rune(intOf(v)))))
	case 'd', 'i', 'u':
		if f, ok := must(v).(float64); ok {
			v = truncated(f)
		}
		s.kind = 'd'
		return r.formatInteger(s, integer64(v))
	case 'x', 'X', 'o':
		return r.formatInteger(s, integer64(v))
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f, ok := floatOf(must(v))
		if !ok {
			fail("must be real number, not %s", typeName(v))
		}
		if s.precision < 0 {
			s.precision = 6
		}
		return r.formatFloat(s, f)
	}
	fail("unsupported format character %q", s.kind)
	return Text{}
}

func integer64(v Value) *big.Int {
	n := bigOf(must(v))
	if n == nil {
		fail("%%d format: a real number is required, not %s", typeName(v))
	}
	return n
}

func truncated(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		fail("cannot convert float %s to integer", floatText(f))
	}
	n, _ := big.NewFloat(f).Int(nil)
	return shrunk(n)
}
