package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxDepth of foreign JSON. What people write nests less than ten deep.
const maxDepth = 64

// object is a JSON object that keeps the order of its keys: models have learnt tools
// with "type" first, and the properties of an answer come as its schema lists them.
type object struct {
	keys []string
	vals map[string]any
}

func newObject(pairs ...any) *object {
	o := &object{vals: map[string]any{}}
	for i := 0; i < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *object) set(key string, v any) {
	if _, ok := o.vals[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = v
}

func (o *object) get(key string) any {
	if o == nil {
		return nil
	}
	return o.vals[key]
}

func (o *object) has(key string) bool {
	_, ok := o.vals[key]
	return ok
}

// decodeJSON reads one JSON text into nil, bool, json.Number, string, []any and
// *object.
func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows the JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	o := newObject()
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		o.set(k.(string), v)
	}
	_, err = d.Token()
	return o, err
}

// encodeJSON writes a value as Python's json.dumps does, which is what templates were
// written for: a space behind : and (without indent) behind the comma.
func encodeJSON(v any, indent int) string {
	w := jsonWriter{indent: indent}
	w.value(v, 0)
	return w.String()
}

type jsonWriter struct {
	strings.Builder
	indent int // 0: one line
	tight  bool
}

func (w *jsonWriter) value(v any, depth int) {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case *object:
		w.list('{', '}', len(v.keys), depth, func(i int) {
			w.WriteString(quoteJSON(v.keys[i]))
			w.WriteString(map[bool]string{false: ": ", true: ":"}[w.tight])
			w.value(v.vals[v.keys[i]], depth+1)
		})
	case []any:
		w.list('[', ']', len(v), depth, func(i int) { w.value(v[i], depth+1) })
	case string:
		w.WriteString(quoteJSON(v))
	default: // bool, json.Number, int, float64
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte("null")
		}
		w.Write(b)
	}
}

func (w *jsonWriter) list(open, shut byte, n, depth int, item func(i int)) {
	w.WriteByte(open)
	for i := range n {
		switch {
		case i > 0 && (w.indent > 0 || w.tight):
			w.WriteByte(',')
		case i > 0:
			w.WriteString(", ")
		}
		w.line(depth + 1)
		item(i)
	}
	if n > 0 {
		w.line(depth)
	}
	w.WriteByte(shut)
}

func (w *jsonWriter) line(depth int) {
	if w.indent > 0 {
		w.WriteByte('\n')
		w.WriteString(strings.Repeat(" ", w.indent*depth))
	}
}

// quoteJSON writes a JSON string, with nothing escaped that need not be.
func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a string, into memory
	return strings.TrimSuffix(b.String(), "\n")
}
