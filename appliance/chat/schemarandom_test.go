package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sample is a schema at random and values that satisfy it.
type sample struct {
	schema *object
	value  func() any
	kind   string // types apart have different ones, "" for several
}

type sampler struct {
	*rand.Rand
	defs *object
}

func (s *sampler) schema(depth int) sample {
	pick := s.IntN(15)
	if depth == 0 {
		pick = s.IntN(9)
	}
	switch pick {
	case 0:
		return sample{newObject("type", "null"), func() any { return nil }, "null"}
	case 1:
		return sample{newObject("type", "boolean"), func() any { return s.IntN(2) == 0 }, "boolean"}
	case 2:
		return s.integer()
	case 3:
		low := s.IntN(200) - 100
		high := low + 1 + s.IntN(50)
		return sample{newObject("type", "number", "minimum", low, "maximum", high), func() any {
			return json.Number(strconv.FormatFloat(float64(low)+s.Float64()*float64(high-low), 'f', 1+s.IntN(12), 64))
		}, "number"}
	case 4, 5:
		return s.text()
	case 6:
		list := []any{"a", "quo\"te", 3, nil, true, newObject("k", []any{1, "x"})}
		s.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:1+s.IntN(len(list))]
		return sample{newObject("enum", list), func() any { return list[s.IntN(len(list))] }, ""}
	case 7:
		return sample{newObject(), func() any { return s.anything(2) }, ""}
	case 8:
		v := s.anything(2)
		return sample{newObject("const", v), func() any { return v }, ""}
	case 9, 10:
		return s.array(depth)
	case 11, 12, 13:
		return s.object(depth)
	}
	return s.combined(depth)
}

func (s *sampler) integer() sample {
	o := newObject("type", "integer")
	low, high := -999_999, 999_999
	if s.IntN(2) == 0 {
		low = s.IntN(20_000) - 10_000
		o.set("minimum", low)
	}
	if s.IntN(2) == 0 {
		high = low + s.IntN(3000)
		o.set("maximum", high)
	}
	return sample{o, func() any { return low + s.IntN(high-low+1) }, "number"}
}

func (s *sampler) text() sample {
	o := newObject("type", "string")
	switch s.IntN(3) {
	case 0:
		words := [][2]string{{`^[a-z]+(_[a-z]+)*$`, "some_snake"}, {`^\w{1,4}\.(txt|md)$`, "ab.md"}, {`x`, "axb"}, {`^\$\d+\.\d{2}$`, "$12.50"}}
		w := words[s.IntN(len(words))]
		o.set("pattern", w[0])
		return sample{o, func() any { return w[1] }, "string"}
	case 1:
		low := s.IntN(5)
		high := low + s.IntN(40)
		o.set("minLength", low)
		o.set("maxLength", high)
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
	o := newObject()
	for i := range s.IntN(3) {
		o.set(fmt.Sprint("k", i), s.anything(depth-1))
	}
	return o
}

func (s *sampler) array(depth int) sample {
	item := s.schema(depth - 1)
	o := newObject("type", "array", "items", item.schema)
	low, high := s.IntN(3), 4
	o.set("minItems", low)
	if s.IntN(2) == 0 {
		high = low + s.IntN(4)
		o.set("maxItems", high)
	}
	var prefix []sample
	if s.IntN(3) == 0 {
		var list []any
		for range 1 + s.IntN(2) {
			p := s.schema(depth - 1)
			prefix, list = append(prefix, p), append(list, p.schema)
		}
		o.set("prefixItems", list)
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
	props := newObject()
	var members []sample
	required := []any{}
	for i := range s.IntN(5) {
		m := s.schema(depth - 1)
		name := fmt.Sprintf("p%d%s", i, []string{"", "\"", " é", "/~"}[s.IntN(4)])
		props.set(name, m.schema)
		members = append(members, m)
		if s.IntN(2) == 0 {
			required = append(required, name)
		}
	}
	o := newObject("type", "object", "properties", props, "required", required)
	var extra *sample
	switch s.IntN(3) {
	case 0:
		o.set("additionalProperties", false)
	case 1:
		e := s.schema(depth - 1)
		extra = &e
		o.set("additionalProperties", e.schema)
	}
	return sample{o, func() any {
		v := newObject()
		for i, name := range props.keys {
			if slices.Contains(required, any(name)) || s.IntN(2) == 0 {
				v.set(name, members[i].value())
			}
		}
		for i := range s.IntN(3) {
			if extra != nil {
				v.set(fmt.Sprint("extra", i), extra.value())
			}
		}
		if len(props.keys) == 0 && extra == nil && !o.has("additionalProperties") {
			return newObject("free", s.anything(1))
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
		name := fmt.Sprint("d", len(s.defs.keys))
		s.defs.set(name, a.schema)
		return sample{newObject("$ref", "#/$defs/"+name), a.value, a.kind}
	case 1:
		if a.kind != "" && b.kind != "" && a.kind != b.kind {
			return sample{newObject("oneOf", []any{a.schema, b.schema}), either, ""}
		}
	case 2:
		x, y := s.object(depth-1), s.integer()
		delete(x.schema.vals, "additionalProperties")
		x.schema.keys = slices.DeleteFunc(x.schema.keys, func(k string) bool { return k == "additionalProperties" })
		more := newObject("type", "object", "properties", newObject("zz", y.schema), "required", []any{"zz"})
		return sample{newObject("allOf", []any{x.schema, more}), func() any {
			v := newObject()
			for _, k := range x.schema.get("properties").(*object).keys {
				for _, r := range x.schema.get("required").([]any) {
					if r == k {
						v.set(k, nil) // filled in below
					}
				}
			}
			full := x.value().(*object)
			for _, k := range v.keys {
				v.set(k, full.get(k))
			}
			v.set("zz", y.value())
			return v
		}, "object"}
	}
	return sample{newObject("anyOf", []any{a.schema, b.schema}), either, ""}
}

// Of schemas at random: what the grammar says satisfies them, and values that satisfy
// them are accepted, tight, spaced and indented.
func TestRandomSchemas(t *testing.T) {
	s := &sampler{Rand: random(t)}
	for range 400 {
		s.defs = newObject()
		x := s.schema(3)
		doc := newObject(append([]any{"$defs", s.defs}, pairs(x.schema)...)...)
		schema := encodeJSON(doc, 0)
		g, text := grammarOf(t, schema)
		v := validator(t, schema)
		for range 8 {
			drawn := g.draw(s.Rand)
			if err := valid(v, drawn); err != nil {
				t.Fatalf("%s: drew %s: %v\n%s", schema, drawn, err, text)
			}
			value := x.value()
			for i, said := range []string{canonical(value), encodeJSON(value, 0), encodeJSON(value, 2)} {
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

func pairs(o *object) (list []any) {
	for _, k := range o.keys {
		list = append(list, k, o.get(k))
	}
	return list
}

// literal excuses spaces: values of const and enum are said tight.
func literal(schema string) bool {
	return strings.Contains(schema, `"const"`) || strings.Contains(schema, `"enum"`)
}
