package jinja

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// jsonWriter writes as Python's json.dumps.
type jsonWriter struct {
	r                 *run
	b                 *builder
	ascii, sorted     bool
	indent            string
	lines             bool // an indent was given, even an empty one
	between, afterKey Text
}

// tojson is the filter that Hugging Face puts in place of Jinja2's.
func (r *run) tojson(v Value, a args) Value {
	b := a.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	w := jsonWriter{r: r, b: r.builder(), ascii: truth(or(b[0], false)), sorted: truth(or(b[3], false)), between: Own(", "), afterKey: Own(": ")}
	switch indent := or(b[1], nil).(type) {
	case nil:
	case Text:
		w.indent, w.lines = indent.s, true
	default:
		w.indent, w.lines = strings.Repeat(" ", min(max(intOf(indent), 0), 1024)), true
	}
	if w.lines {
		w.between = Own(",")
	}
	if separators := or(b[2], nil); separators != nil {
		pair := r.items(must(separators))
		if len(pair) != 2 {
			fail("separators of tojson are two")
		}
		w.between, w.afterKey = wanted(pair[0]), wanted(pair[1])
	}
	w.value(v, 0)
	return w.b.done()
}

func (w *jsonWriter) value(v Value, depth int) {
	w.r.step(1)
	if depth > maxNested {
		exceed("values are nested more than %d deep", maxNested)
	}
	switch v := v.(type) {
	case nil:
		w.b.own("null")
	case bool:
		w.b.own(strconv.FormatBool(v))
	case int64:
		w.b.own(strconv.FormatInt(v, 10))
	case *big.Int:
		w.b.own(v.String())
	case float64:
		w.b.own(jsonFloat(v))
	case Text:
		w.text(v)
	case *List:
		w.list(v.Items, depth)
	case *Tuple:
		w.list(v.Items, depth)
	case *Dict:
		w.dict(v, depth)
	default:
		fail("Object of type %s is not JSON serializable", typeName(v))
	}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatText(f)
}

func (w *jsonWriter) list(items []Value, depth int) {
	w.b.own("[")
	for i, x := range items {
		w.item(i, depth+1)
		w.value(x, depth+1)
	}
	w.end(len(items), depth)
	w.b.own("]")
}

func (w *jsonWriter) dict(d *Dict, depth int) {
	w.b.own("{")
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if w.sorted {
		slices.SortStableFunc(order, func(a, b int) int { return w.r.order(d.keys[a], d.keys[b], 0) })
	}
	for i, at := range order {
		w.item(i, depth+1)
		w.key(d.keys[at])
		w.b.text(w.afterKey)
		w.value(d.vals[at], depth+1)
	}
	w.end(len(order), depth)
	w.b.own("}")
}

// key is always a text in JSON.
func (w *jsonWriter) key(k Value) {
	switch k := k.(type) {
	case Text:
		w.text(k)
	case nil:
		w.b.own(`"null"`)
	case bool:
		w.b.own(`"` + strconv.FormatBool(k) + `"`)
	case int64, *big.Int, float64:
		w.b.own(`"` + w.r.str(k).s + `"`)
	default:
		fail("keys must be str, int, float, bool or None, not %s", typeName(k))
	}
}

func (w *jsonWriter) item(i, depth int) {
	if i > 0 {
		w.b.text(w.between)
	}
	w.line(depth)
}

func (w *jsonWriter) end(n, depth int) {
	if n > 0 {
		w.line(depth)
	}
}

func (w *jsonWriter) line(depth int) {
	if w.lines {
		w.b.own("\n" + strings.Repeat(w.indent, depth))
	}
}

func (w *jsonWriter) text(t Text) {
	w.b.own(`"`)
	for _, p := range t.Parts() {
		var s strings.Builder
		for _, c := range p.Text {
			w.rune(&s, c)
		}
		w.b.piece(s.String(), p.Foreign)
	}
	w.b.own(`"`)
}

func (w *jsonWriter) rune(s *strings.Builder, c rune) {
	if i := strings.IndexRune("\"\\\n\r\t\f\b", c); i >= 0 {
		s.WriteByte('\\')
		s.WriteByte(`"\nrtfb`[i])
		return
	}
	switch {
	case c >= 0x10000 && w.ascii:
		high, low := utf16.EncodeRune(c)
		s.WriteString(`\u` + hexText(high, 4) + `\u` + hexText(low, 4))
	case c < ' ' || w.ascii && c > '~':
		s.WriteString(`\u` + hexText(c, 4))
	default:
		s.WriteRune(c)
	}
}
