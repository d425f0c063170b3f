package chat

import (
	"encoding/json"
	"math"
	"slices"
)

// kinds is a set of JSON types; number holds integer too.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBool
	kindInteger
	kindFraction
	kindString
	kindArray
	kindObject
	kindNumber = kindInteger | kindFraction
	kindAny    = kindNull | kindBool | kindNumber | kindString | kindArray | kindObject
)

var kindNames = map[string]kinds{
	"null": kindNull, "boolean": kindBool, "integer": kindInteger, "number": kindNumber,
	"string": kindString, "array": kindArray, "object": kindObject,
}

// node is a schema and where it was found, a JSON pointer.
type node struct {
	schema any
	path   string
}

// shape is a schema without references and combinations: one alternative of what a
// place in the answer may hold.
type shape struct {
	path  string
	kinds kinds
	enum  []any // nil: no enum

	props    []property // in the order of the schema
	required []string
	extra    []node // of properties not listed, nil where the schema does not say
	closed   bool   // no others

	prefix             [][]node
	items              []node
	minItems, maxItems int

	minLength, maxLength int
	pattern, format      string

	low, high bound
}

type property struct {
	name    string
	schemas []node
}

// bound of numbers; none is infinite.
type bound struct {
	at   float64
	open bool // at itself is not allowed
}

func anything(path string) *shape {
	return &shape{
		path: path, kinds: kindAny,
		maxItems: math.MaxInt, maxLength: math.MaxInt,
		low: bound{at: math.Inf(-1)}, high: bound{at: math.Inf(1)},
	}
}

// meet is what both shapes allow. Only one of them may have a pattern, and one a
// format.
func (c *compiler) meet(a, b *shape) (*shape, error) {
	m := *a
	m.kinds &= b.kinds
	if b.enum != nil {
		m.enum = b.enum
		if a.enum != nil {
			m.enum = []any{}
			for _, v := range a.enum {
				if slices.ContainsFunc(b.enum, func(w any) bool { return sameJSON(v, w) }) {
					m.enum = append(m.enum, v)
				}
			}
		}
	}
	m.minItems, m.maxItems = max(a.minItems, b.minItems), min(a.maxItems, b.maxItems)
	m.minLength, m.maxLength = max(a.minLength, b.minLength), min(a.maxLength, b.maxLength)
	if b.low.at > a.low.at || b.low.at == a.low.at && b.low.open {
		m.low = b.low
	}
	if b.high.at < a.high.at || b.high.at == a.high.at && b.high.open {
		m.high = b.high
	}
	for _, s := range []struct {
		to   *string
		with string
		word string
	}{{&m.pattern, b.pattern, "pattern"}, {&m.format, b.format, "format"}} {
		if *s.to != "" && s.with != "" && *s.to != s.with {
			return nil, c.fail(b.path, "two of %s cannot be combined", s.word)
		}
		if *s.to == "" {
			*s.to = s.with
		}
	}
	m.meetObjects(a, b)
	m.meetArrays(a, b)
	return &m, nil
}

// meetObjects: a property has to satisfy what either side says of it, by name or of
// all it does not name.
func (m *shape) meetObjects(a, b *shape) {
	m.props = nil
	for _, name := range names(a, b) {
		sa, oka := a.property(name)
		sb, okb := b.property(name)
		if oka && okb {
			m.props = append(m.props, property{name, join(sa, sb)})
		}
	}
	m.required = slices.Concat(a.required, b.required)
	m.closed = a.closed || b.closed
	m.extra = join(a.extra, b.extra)
}

func names(shapes ...*shape) (all []string) {
	for _, s := range shapes {
		for _, p := range s.props {
			if !slices.Contains(all, p.name) {
				all = append(all, p.name)
			}
		}
	}
	return all
}

// property is what a shape demands of a property, and whether it may be there.
func (s *shape) property(name string) ([]node, bool) {
	for _, p := range s.props {
		if p.name == name {
			return p.schemas, true
		}
	}
	return s.extra, !s.closed
}

func (m *shape) meetArrays(a, b *shape) {
	m.prefix = nil
	for i := range max(len(a.prefix), len(b.prefix)) {
		m.prefix = append(m.prefix, join(a.item(i), b.item(i)))
	}
	m.items = join(a.items, b.items)
}

func (s *shape) item(i int) []node {
	if i < len(s.prefix) {
		return s.prefix[i]
	}
	return s.items
}

// join is both sets of demands, each once.
func join(a, b []node) []node {
	all := slices.Clone(a)
	for _, n := range b {
		if !slices.ContainsFunc(all, func(x node) bool { return x.path == n.path }) {
			all = append(all, n)
		}
	}
	return all
}

// sameJSON is equality of JSON values: 1 and 1.0 are one number, and objects have no
// order.
func sameJSON(a, b any) bool {
	switch a := a.(type) {
	case *object:
		b, ok := b.(*object)
		return ok && len(a.keys) == len(b.keys) && !slices.ContainsFunc(a.keys, func(k string) bool {
			return !b.has(k) || !sameJSON(a.get(k), b.get(k))
		})
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameJSON)
	case json.Number:
		b, ok := b.(json.Number)
		x, errx := a.Float64()
		y, erry := b.Float64()
		return ok && (a == b || errx == nil && erry == nil && x == y)
	}
	switch b.(type) {
	case *object, []any:
		return false
	}
	return a == b
}

// canonical writes a value the way literals go into a grammar.
func canonical(v any) string {
	w := jsonWriter{tight: true}
	w.value(v, 0)
	return w.String()
}
