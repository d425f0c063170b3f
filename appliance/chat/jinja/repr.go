package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// str is a value as it is written out.
func (r *run) str(v Value) Text {
	switch v := v.(type) {
	case Text:
		return v
	case Undefined:
		return Text{}
	case int64:
		return Own(strconv.FormatInt(v, 10))
	}
	b := r.builder()
	r.repr(b, v, 0)
	return b.done()
}

// repr writes a value as Python shows it.
func (r *run) repr(b *builder, v Value, depth int) {
	r.step(1)
	if depth > maxNested {
		exceed("values are nested more than %d deep", maxNested)
	}
	switch v := v.(type) {
	case nil:
		b.own("None")
	case bool:
		b.own(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.own(strconv.FormatInt(v, 10))
	case *big.Int:
		b.own(v.String())
	case float64:
		b.own(floatText(v))
	case Text:
		reprText(b, v)
	case *List:
		r.reprItems(b, "[", v.Items, "]", depth)
	case *Tuple:
		shut := ")"
		if len(v.Items) == 1 {
			shut = ",)"
		}
		r.reprItems(b, "(", v.Items, shut, depth)
	case *Dict:
		b.own("{")
		for i, k := range v.keys {
			if i > 0 {
				b.own(", ")
			}
			r.repr(b, k, depth+1)
			b.own(": ")
			r.repr(b, v.vals[i], depth+1)
		}
		b.own("}")
	case *view:
		r.reprItems(b, "dict_"+v.kind+"([", v.items, "])", depth)
	case *Range:
		b.own("range(" + strconv.FormatInt(v.from, 10) + ", " + strconv.FormatInt(v.to, 10))
		if v.step != 1 {
			b.own(", " + strconv.FormatInt(v.step, 10))
		}
		b.own(")")
	case *Namespace:
		b.own("<Namespace ")
		r.repr(b, v.attrs, depth+1)
		b.own(">")
	case Undefined:
		b.own("Undefined")
	case *macro:
		b.own("<Macro " + strconv.Quote(v.name) + ">")
	case *loop:
		b.own("<LoopContext " + strconv.Itoa(v.at+1) + "/" + strconv.Itoa(len(v.items)) + ">")
	default:
		b.own("<" + typeName(v) + ">")
	}
}

func (r *run) reprItems(b *builder, open string, items []Value, shut string, depth int) {
	b.own(open)
	for i, x := range items {
		if i > 0 {
			b.own(", ")
		}
		r.repr(b, x, depth+1)
	}
	b.own(shut)
}

// reprText writes a text in quotes.
func reprText(b *builder, t Text) {
	quote := byte('\'')
	if strings.Contains(t.s, "'") && !strings.Contains(t.s, `"`) {
		quote = '"'
	}
	if t.markup {
		b.own("Markup(")
		defer b.own(")")
	}
	b.own(string(quote))
	for _, p := range t.Parts() {
		var s strings.Builder
		for _, c := range p.Text {
			switch {
			case c == rune(quote) || c == '\\':
				s.WriteByte('\\')
				s.WriteRune(c)
			case c == '\n':
				s.WriteString(`\n`)
			case c == '\r':
				s.WriteString(`\r`)
			case c == '\t':
				s.WriteString(`\t`)
			case unicode.IsPrint(c):
				s.WriteRune(c)
			case c < 0x100:
				s.WriteString(`\x` + hexText(c, 2))
			case c < 0x10000:
				s.WriteString(`\u` + hexText(c, 4))
			default:
				s.WriteString(`\U` + hexText(c, 8))
			}
		}
		b.piece(s.String(), p.Foreign)
	}
	b.own(string(quote))
}

func hexText(c rune, width int) string {
	s := strconv.FormatInt(int64(c), 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

// floatText is a float as Python writes it.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
