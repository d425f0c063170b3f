package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"skerry/appliance/chat/orderedjson"
	"skerry/build/testseed"
)

// sample is a schema at random and values that satisfy it.
type sample struct {
	schema *orderedjson.Object
	value  func() any
	kind   string // types apart have different ones, "" for several
}

type sampler struct {
	*rand.Rand
	defs *orderedjson.Object
}

func (s *sampler) schema(depth int) sample {
	pick := s.IntN(15)
	if depth == 0 {
		pick = s.IntN(9)
	}
	switch pick {
	case 0:
		return sample{orderedjson.New("type", "null"), func() any { return nil }, "null"}
	case 1:
		return sample{orderedjson.New("type", "boolean"), func() any { return s.IntN(2) == 0 }, "boolean"}
	case 2:
		return s.integer()
	case 3:
		low := s.IntN(200) - 100
		high := low + 1 + s.IntN(50)
		return sample{orderedjson.New("type", "number", "minimum", low, "maximum", high), func() any {
			return json.Number(strconv.FormatFloat(float64(low)+s.Float64()*float64(high-low), 'f', 1+s.IntN(12), 64))
		}, "number"}
	case 4, 5:
		return s.text()
	case 6:
		list := []any{"a", "quo\"te", 3, nil, true, orderedjson.New("k", []any{1, "x"})}
		s.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:1+s.IntN(len(list))]
		return sample{orderedjson.New("enum", list), func() any { return list[s.IntN(len(list))] }, ""}
	case 7:
		return sample{orderedjson.New(), func() any { return s.anything(2) }, ""}
	case 8:
		v := s.anything(2)
		return sample{orderedjson.New("const", v), func() any { return v }, ""}
	case 9, 10:
		return s.array(depth)
	case 11, 12, 13:
		return s.object(depth)
	}
	return s.combined(depth)
}

func (s *sampler) integer() sample {
	o := orderedjson.New("type", "integer")
	low, high := -999_999, 999_999
	if s.IntN(2) == 0 {
		low = s.IntN(20_000) - 10_000
		o.Set("minimum", low)
	}
	if s.IntN(2) == 0 {
		high = low + s.IntN(3000)
		o.Set("maximum", high)
	}
	return sample{o, func() any { return low + s.IntN(high-low+1) }, "number"}
}

func (s *sampler) text() sample {
	o := orderedjson.New("type", "string")
	switch s.IntN(3) {
	case 0:
		words := [][2]string{{`^[a-z]+(_[a-z]+)*$`, "some_snake"}, {`^\w{1,4}\.(txt|md)$`, "ab.md"}, {`x`, "axb"}, {`^\$\d+\.\d{2}$`, "$12.50"}}
		w := words[s.IntN(len(words))]
		o.Set("pattern", w[0])
		return sample{o, func() any { return w[1] }, "string"}
	case 1:
		low := s.IntN(5)
		high := low + s.IntN(40)
		o.Set("minLength", low)
		o.Set("maxLength", high)
		return sample{o, func() any { return s.word(low + s.IntN(high-low+1)) }, "string"}
	}
	return sample{o, func() any { return s.word(s.IntN(20)) }, "string"}
}

func (s *sampler) word(n int) string {
	var b strings.Builder
	for range n {
		b.WriteRune(someRunes[s.IntN(len(someRunes))])
	}
	return b.String()
}

func (s *sampler) anything(depth int) any {
	switch n := s.IntN(7); {
	case n == 0:
		return nil
	case n == 1:
		return s.IntN(100000) - 50000
	case n == 2:
		return json.Number("1.5e3")
	case n < 5 || depth == 0:
		return s.word(s.IntN(6))
	case n == 5:
		list := []any{}
		for range s.IntN(3) {
			list = append(list, s.anything(depth-1))
		}
		return list
	}
	o := orderedjson.New()
	for i := range s.IntN(3) {
		o.Set(fmt.Sprint("k", i), s.anything(depth-1))
	}
	return o
}

func (s *sampler) array(depth int) sample {
	item := s.schema(depth - 1)
	o := orderedjson.New("type", "array", "items", item.schema)
	low, high := s.IntN(3), 4
	o.Set("minItems", low)
	if s.IntN(2) == 0 {
		high = low + s.IntN(4)
		o.Set("maxItems", high)
	}
	var prefix []sample
	if s.IntN(3) == 0 {
		var list []any
		for range 1 + s.IntN(2) {
			p := s.schema(depth - 1)
			prefix, list = append(prefix, p), append(list, p.schema)
		}
		o.Set("prefixItems", list)
	}
	return sample{o, func() any {
		list := []any{}
		for i := range low + s.IntN(high-low+1) {
			if i < len(prefix) {
				list = append(list, prefix[i].value())
			} else {
				list = append(list, item.value())
			}
		}
		return list
	}, "array"}
}

func (s *sampler) object(depth int) sample {
	props := orderedjson.New()
	var members []sample
	required := []any{}
	for i := range s.IntN(5) {
		m := s.schema(depth - 1)
		name := fmt.Sprintf("p%d%s", i, []string{"", "\"", " é", "/~"}[s.IntN(4)])
		props.Set(name, m.schema)
		members = append(members, m)
		if s.IntN(2) == 0 {
			required = append(required, name)
		}
	}
	o := orderedjson.New("type", "object", "properties", props, "required", required)
	var extra *sample
	switch s.IntN(3) {
	case 0:
		o.Set("additionalProperties", false)
	case 1:
		e := s.schema(depth - 1)
		extra = &e
		o.Set("additionalProperties", e.schema)
	}
	return sample{o, func() any {
		v := orderedjson.New()
		for i, name := range props.Keys {
			if slices.Contains(required, any(name)) || s.IntN(2) == 0 {
				v.Set(name, members[i].value())
			}
		}
		for i := range s.IntN(3) {
			if extra != nil {
				v.Set(fmt.Sprint("extra", i), extra.value())
			}
		}
		return v
	}, "object"}
}

func (s *sampler) combined(depth int) sample {
	a, b := s.schema(depth-1), s.schema(depth-1)
	either := func() any {
		if s.IntN(2) == 0 {
			return a.value()
		}
		return b.value()
	}
	switch s.IntN(4) {
	case 0:
		name := fmt.Sprint("d", len(s.defs.Keys))
		s.defs.Set(name, a.schema)
		return sample{orderedjson.New("$ref", "#/$defs/"+name), a.value, a.kind}
	case 1:
		if a.kind != "" && b.kind != "" && a.kind != b.kind {
			return sample{orderedjson.New("oneOf", []any{a.schema, b.schema}), either, ""}
		}
	case 2:
		x, y := s.object(depth-1), s.integer()
		open := orderedjson.New()
		for _, k := range x.schema.Keys {
			if k != "additionalProperties" {
				open.Set(k, x.schema.Get(k))
			}
		}
		more := orderedjson.New("type", "object", "properties", orderedjson.New("zz", y.schema), "required", []any{"zz"})
		return sample{orderedjson.New("allOf", []any{open, more}), func() any {
			v := orderedjson.New()
			for _, k := range open.Get("properties").(*orderedjson.Object).Keys {
				for _, r := range open.Get("required").([]any) {
					if r == k {
						v.Set(k, nil) // filled in below
					}
				}
			}
			full := x.value().(*orderedjson.Object)
			for _, k := range v.Keys {
				v.Set(k, full.Get(k))
			}
			v.Set("zz", y.value())
			return v
		}, "object"}
	}
	return sample{orderedjson.New("anyOf", []any{a.schema, b.schema}), either, ""}
}

// Of schemas at random: what the grammar says satisfies them, and values that satisfy
// them are accepted, tight, spaced and indented.
func TestRandomSchemas(t *testing.T) {
	s := &sampler{Rand: testseed.Rand(t)}
	for range 400 {
		s.defs = orderedjson.New()
		x := s.schema(3)
		doc := orderedjson.New(append([]any{"$defs", s.defs}, pairs(x.schema)...)...)
		schema := orderedjson.Encode(doc)
		g, text := grammarOf(t, schema)
		v := validator(t, schema)
		for range 8 {
			drawn := g.draw(s.Rand)
			if err := valid(v, drawn); err != nil {
				t.Fatalf("%s: drew %s: %v\n%s", schema, drawn, err, text)
			}
			value := x.value()
			for i, said := range []string{orderedjson.Compact(value), orderedjson.Encode(value), indented(t, value)} {
				if err := valid(v, said); err != nil {
					t.Fatalf("the test is wrong: %s: %s: %v", schema, said, err)
				}
				if !g.matches(said) && !(i > 0 && literal(schema)) {
					t.Fatalf("%s: refuses %s\n%s", schema, said, text)
				}
			}
		}
	}
}

// indented is a value over several lines.
func indented(t *testing.T, v any) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(orderedjson.Compact(v)), "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pairs(o *orderedjson.Object) (list []any) {
	for _, k := range o.Keys {
		list = append(list, k, o.Get(k))
	}
	return list
}

// literal excuses spaces: values of const and enum are said tight.
func literal(schema string) bool {
	return strings.Contains(schema, `"const"`) || strings.Contains(schema, `"enum"`)
}
