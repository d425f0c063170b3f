// Package orderedjson reads and writes JSON whose objects keep the order of their keys,
// which encoding/json loses: models have learnt tools with "type" first, and the
// properties of an answer come as its schema lists them. Its writer is Python's
// json.dumps, as models have learnt tools in that, too.
package orderedjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// MaxDepth is how deep foreign JSON may nest. What people write nests less than ten deep.
const MaxDepth = 64

// Object is a JSON object that keeps the order of its keys.
type Object struct {
	Keys []string // in the order in which they were first set
	vals map[string]any
}

// New makes an object of pairs of a string, the key, and its value.
func New(pairs ...any) *Object {
	o := &Object{vals: map[string]any{}}
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Set gives a key its value; a new key is the last.
func (o *Object) Set(key string, v any) {
	if _, ok := o.vals[key]; !ok {
		o.Keys = append(o.Keys, key)
	}
	o.vals[key] = v
}

// Get is the value of a key, nil for none, also of a nil object.
func (o *Object) Get(key string) any {
	if o == nil {
		return nil
	}
	return o.vals[key]
}

// Has reports whether the object has a key.
func (o *Object) Has(key string) bool {
	_, ok := o.vals[key]
	return ok
}

// Decode reads one JSON text into nil, bool, json.Number, string, []any and *Object. The
// error says what is wrong: no JSON, more than one text, or deeper than MaxDepth.
func Decode(b []byte) (any, error) {
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
	if depth == MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
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
	o := New()
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		o.Set(k.(string), v)
	}
	_, err = d.Token()
	return o, err
}

// Encode writes a value on one line as Python's json.dumps does, which is what models
// have learnt tools in: with a space behind each colon and comma.
func Encode(v any) string {
	w := writer{colon: ": ", comma: ", "}
	w.value(v)
	return w.String()
}

// Compact writes a value without any spaces.
func Compact(v any) string {
	w := writer{colon: ":", comma: ","}
	w.value(v)
	return w.String()
}

type writer struct {
	strings.Builder
	colon, comma string
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case *Object:
		w.list('{', '}', len(v.Keys), func(i int) {
			w.WriteString(Quote(v.Keys[i]))
			w.WriteString(w.colon)
			w.value(v.vals[v.Keys[i]])
		})
	case []any:
		w.list('[', ']', len(v), func(i int) { w.value(v[i]) })
	case string:
		w.WriteString(Quote(v))
	default: // bool, json.Number, int, float64
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte("null")
		}
		w.Write(b)
	}
}

func (w *writer) list(open, shut byte, n int, item func(i int)) {
	w.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.WriteString(w.comma)
		}
		item(i)
	}
	w.WriteByte(shut)
}

// Quote writes a JSON string, with nothing escaped that need not be.
func Quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a string, into memory
	return strings.TrimSuffix(b.String(), "\n")
}

// Equal is equality of JSON values: 1 and 1.0 are one number, and objects have no
// order.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case *Object:
		b, ok := b.(*Object)
		return ok && len(a.Keys) == len(b.Keys) && !slices.ContainsFunc(a.Keys, func(k string) bool {
			return !b.Has(k) || !Equal(a.Get(k), b.Get(k))
		})
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, Equal)
	case json.Number:
		b, ok := b.(json.Number)
		x, errx := a.Float64()
		y, erry := b.Float64()
		return ok && (a == b || errx == nil && erry == nil && x == y)
	}
	switch b.(type) {
	case *Object, []any:
		return false
	}
	return a == b
}
