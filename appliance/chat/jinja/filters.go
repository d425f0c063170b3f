package jinja

import (
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// filters are those of Jinja2, less what makes HTML or reaches for chance.
var filters map[string]func(r *run, in Value, a args) Value

func init() {
	filters = map[string]func(r *run, in Value, a args) Value{
		"abs":        abs,
		"attr":       func(r *run, in Value, a args) Value { return r.attrFilter(in, wanted(a.bind("attr", "name")[0]).s) },
		"capitalize": func(r *run, in Value, _ args) Value { return r.capitalize(r.str(in)) },
		"center": func(r *run, in Value, a args) Value {
			return r.pad(r.str(in), intOf(or(a.bind("center", "width")[0], int64(80))), Own(" "), 'c')
		},
		"default": defaultFilter,
		"escape": func(r *run, in Value, _ args) Value {
			if t := r.str(in); !t.markup {
				return r.escape(t).as(Text{markup: true})
			}
			return in
		},
		"forceescape": func(r *run, in Value, _ args) Value { return r.escape(r.str(in)).as(Text{markup: true}) },
		"float":       floatFilter,
		"format":      formatFilter,
		"indent":      indent,
		"int":         intFilter,
		"join":        joinFilter,
		"length":      func(_ *run, in Value, _ args) Value { return length(in) },
		"lower":       func(r *run, in Value, _ args) Value { return r.lower(r.str(in)) },
		"replace":     replaceFilter,
		"round":       round,
		"safe":        func(r *run, in Value, _ args) Value { return r.str(in).as(Text{markup: true}) },
		"string":      func(r *run, in Value, _ args) Value { return r.str(in) },
		"title":       func(r *run, in Value, _ args) Value { return r.titleFilter(r.str(in)) },
		"tojson":      func(r *run, in Value, a args) Value { return r.tojson(in, a) },
		"trim": func(r *run, in Value, a args) Value {
			return r.str(in).trim(dropper(a.bind("trim", "chars")[0]), true, true)
		},
		"truncate":  truncate,
		"upper":     func(r *run, in Value, _ args) Value { return r.upper(r.str(in)) },
		"urlencode": urlencodeFilter,
		"wordcount": func(r *run, in Value, _ args) Value { return words(r.str(in).s) },
	}
	for name, do := range listFilters() {
		filters[name] = do
	}
	for short, name := range map[string]string{"d": "default", "e": "escape", "count": "length"} {
		filters[short] = filters[name]
	}
}

func (r *run) filter(name string, in Value, a args) Value {
	do, ok := filters[name]
	if !ok {
		fail("no filter named %q", name)
	}
	if t, ok := in.(Text); ok {
		r.looked(len(t.s))
	}
	return do(r, in, a)
}

func abs(r *run, in Value, _ args) Value {
	if f, ok := must(in).(float64); ok {
		return math.Abs(f)
	}
	n := bigOf(in)
	if n == nil {
		fail("bad operand type for abs(): '%s'", typeName(in))
	}
	return shrunk(new(big.Int).Abs(n))
}

func (r *run) attrFilter(in Value, name string) Value {
	if v, ok := r.member(in, name); ok {
		return v
	}
	return r.missing(in, Own(name))
}

func defaultFilter(_ *run, in Value, a args) Value {
	b := a.bind("default", "default_value", "boolean")
	if isUndefined(in) || truth(or(b[1], false)) && !truth(in) {
		return or(b[0], Text{})
	}
	return in
}

var escapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&#34;", '\'': "&#39;"}

func (r *run) escape(t Text) Text {
	return r.mapRunes(t, func(c rune) string {
		if s, ok := escapes[c]; ok {
			return s
		}
		return string(c)
	})
}

func intFilter(r *run, in Value, a args) Value {
	b := a.bind("int", "default", "base")
	otherwise := or(b[0], int64(0))
	switch v := must(in).(type) {
	case int64, bool, *big.Int:
		return shrunk(bigOf(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return otherwise
		}
		return truncated(v)
	case Text:
		base := intOf(or(b[1], int64(10)))
		s := strings.ToLower(strings.TrimFunc(v.s, blank))
		if len(s) > maxBits/4 {
			return otherwise
		}
		if prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]; prefix != "" {
			s = strings.Replace(s, prefix, "", 1)
		}
		if n, ok := new(big.Int).SetString(strings.ReplaceAll(strings.TrimPrefix(s, "+"), "_", ""), min(max(base, 2), 36)); ok {
			return shrunk(n)
		}
		if f, ok := parsedFloat(v.s); ok && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return truncated(f)
		}
	}
	return otherwise
}

func parsedFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, blank)
	if strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

func floatFilter(_ *run, in Value, a args) Value {
	if f, ok := floatOf(must(in)); ok {
		return f
	}
	if t, ok := in.(Text); ok {
		if f, ok := parsedFloat(t.s); ok {
			return f
		}
	}
	return or(a.bind("float", "default")[0], 0.0)
}

func formatFilter(r *run, in Value, a args) Value {
	t := r.str(in)
	if len(a.names) == 0 {
		return r.percent(t, &Tuple{Items: a.pos})
	}
	if len(a.pos) > 0 {
		fail("format takes values or keywords, not both")
	}
	d := NewDict()
	for i, name := range a.names {
		d.Set(Own(name), a.vals[i])
	}
	return r.percent(t, d)
}

func indent(r *run, in Value, a args) Value {
	b := a.bind("indent", "width", "first", "blank")
	first, blanks := truth(or(b[1], false)), truth(or(b[2], false))
	with, ok := or(b[0], int64(4)).(Text)
	if !ok {
		with = r.repeat(Own(" "), intOf(or(b[0], int64(4))))
	}
	t := r.concat(wanted(in), Own("\n"))
	out := r.builder()
	for i, x := range r.lines(t, false) {
		r.step(1)
		line := x.(Text)
		if i > 0 {
			out.own("\n")
		}
		if i == 0 && first || i > 0 && (blanks || line.s != "") {
			out.text(with)
		}
		out.text(line)
	}
	return out.done()
}

func joinFilter(r *run, in Value, a args) Value {
	b := a.bind("join", "d", "attribute")
	between := r.str(or(b[0], Text{}))
	out := r.builder()
	for i, x := range r.items(in) {
		r.step(1)
		if i > 0 {
			out.text(between)
		}
		if by := or(b[1], nil); by != nil {
			x = r.picked(x, by)
		}
		out.text(r.str(x))
	}
	return out.done()
}

func replaceFilter(r *run, in Value, a args) Value {
	b := a.bind("replace", "old", "new", "count")
	n := -1
	if v := or(b[2], nil); v != nil {
		n = intOf(v)
	}
	if _, ok := b[1].(unset); ok {
		fail("replace has two arguments")
	}
	return r.replace(r.str(in), r.str(b[0]), r.str(b[1]), n)
}

// round to a number of digits; Python's round takes the even one of two equally near.
func round(_ *run, in Value, a args) Value {
	b := a.bind("round", "precision", "method")
	precision, method := intOf(or(b[0], int64(0))), wanted(or(b[1], Own("common"))).s
	f, ok := floatOf(must(in))
	if !ok {
		fail("type %s doesn't define __round__ method", typeName(in))
	}
	if precision < -300 || precision > 300 {
		fail("a precision is too large")
	}
	scale := math.Pow(10, float64(precision))
	switch method {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	case "common":
	default:
		fail("method must be common, ceil or floor")
	}
	if n := bigOf(in); n != nil && precision >= 0 {
		return shrunk(n)
	}
	if precision < 0 {
		f = math.RoundToEven(f*scale) / scale
		if bigOf(in) != nil {
			return truncated(f)
		}
		return f
	}
	f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', precision, 64), 64)
	return f
}

// titleFilter begins a word behind white space and opening brackets, not as str.title.
func (r *run) titleFilter(t Text) Text {
	begins := true
	return r.mapRunes(t, func(c rune) string {
		was := begins
		begins = blank(c) || strings.ContainsRune("-({[<", c)
		if was {
			return strings.ToUpper(string(c))
		}
		return string(unicode.ToLower(c))
	})
}

func truncate(r *run, in Value, a args) Value {
	b := a.bind("truncate", "length", "killwords", "end", "leeway")
	end, leeway := r.str(or(b[2], Own("..."))), 5
	if v := or(b[3], nil); v != nil {
		leeway = intOf(v)
	}
	n := intOf(or(b[0], int64(255)))
	if n < end.length() || leeway < 0 {
		fail("truncate to less than its end")
	}
	if length(in) <= int64(n+leeway) {
		return in
	}
	t := wanted(in)
	t = t.slice(0, t.at(n-end.length()))
	if i := strings.LastIndexByte(t.s, ' '); i >= 0 && !truth(or(b[1], false)) {
		t = t.slice(0, i)
	}
	return r.concat(t, end)
}

// urlencodeFilter makes a query of pairs, and escapes anything else.
func urlencodeFilter(r *run, in Value, _ args) Value {
	if _, ok := in.(Text); ok || !isIterable(in) {
		return r.mapped(r.str(in), urlencode)
	}
	pairs := r.items(in)
	if d, ok := in.(*Dict); ok {
		pairs = r.pairs(d)
	}
	b := r.builder()
	for i, x := range pairs {
		pair := r.items(x)
		if len(pair) != 2 {
			fail("urlencode is given what is not pairs")
		}
		if i > 0 {
			b.own("&")
		}
		b.text(r.mapped(r.str(pair[0]), url.QueryEscape))
		b.own("=")
		b.text(r.mapped(r.str(pair[1]), url.QueryEscape))
	}
	return b.done()
}

func urlencode(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%2F", "/")
}

func words(s string) Value {
	return int64(len(strings.FieldsFunc(s, func(c rune) bool { return !wordRune(c) })))
}
