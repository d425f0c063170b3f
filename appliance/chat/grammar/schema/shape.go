package schema

import (
	"math"
	"slices"

	"skerry/appliance/chat/orderedjson"
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
	listed   bool   // the schema lists properties, if only none

	prefix             [][]node
	items              []node
	minItems, maxItems int

	minLength, maxLength int
	pattern, format      string

	low, high bound

	byName map[string]int // of props, and needs of required, once they were asked for
	needs  map[string]bool
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
			c.work += len(a.enum)*sizeOf(b.enum) + len(b.enum)*sizeOf(a.enum)
			if err := c.worked(b.path); err != nil {
				return nil, err
			}
			m.enum = []any{}
			for _, v := range a.enum {
				if slices.ContainsFunc(b.enum, func(w any) bool { return orderedjson.Equal(v, w) }) {
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
			if err := c.cannot(b.path, "two of %s cannot be combined", s.word); err != nil {
				return nil, err
			}
		}
		if *s.to == "" {
			*s.to = s.with
		}
	}
	c.meetObjects(&m, a, b)
	c.meetArrays(&m, a, b)
	return &m, c.worked(b.path)
}

// meetObjects: a property has to satisfy what either side says of it, by name or of
// all it does not name.
func (c *compiler) meetObjects(m, a, b *shape) {
	m.props, m.byName, m.needs = nil, nil, nil
	c.work += 4*(len(a.props)+len(b.props)) + len(a.required) + len(b.required)
	for _, name := range names(a, b) {
		sa, oka := a.property(name)
		sb, okb := b.property(name)
		if oka && okb {
			m.props = append(m.props, property{name, c.join(sa, sb)})
		}
	}
	m.required = slices.Clone(a.required)
	for _, name := range b.required {
		if !a.requires(name) {
			m.required = append(m.required, name)
		}
	}
	m.closed, m.listed = a.closed || b.closed, a.listed || b.listed
	m.extra = c.join(a.extra, b.extra)
}

func names(shapes ...*shape) (all []string) {
	known := map[string]bool{}
	for _, s := range shapes {
		for _, p := range s.props {
			if !known[p.name] {
				known[p.name] = true
				all = append(all, p.name)
			}
		}
	}
	return all
}

// property is what a shape demands of a property, and whether it may be there.
func (s *shape) property(name string) ([]node, bool) {
	if s.byName == nil {
		s.byName = make(map[string]int, len(s.props))
		for i, p := range s.props {
			s.byName[p.name] = i
		}
	}
	if i, ok := s.byName[name]; ok {
		return s.props[i].schemas, true
	}
	return s.extra, !s.closed
}

// requires reports whether a property has to be there.
func (s *shape) requires(name string) bool {
	if s.needs == nil {
		s.needs = make(map[string]bool, len(s.required))
		for _, name := range s.required {
			s.needs[name] = true
		}
	}
	return s.needs[name]
}

func (c *compiler) meetArrays(m, a, b *shape) {
	m.prefix = nil
	for i := range max(len(a.prefix), len(b.prefix)) {
		m.prefix = append(m.prefix, c.join(a.item(i), b.item(i)))
	}
	m.items = c.join(a.items, b.items)
}

func (s *shape) item(i int) []node {
	if i < len(s.prefix) {
		return s.prefix[i]
	}
	return s.items
}

// join is both sets of demands, each once.
func (c *compiler) join(a, b []node) []node {
	c.work += 1 + len(a) + len(a)*len(b)
	all := slices.Clone(a)
	for _, n := range b {
		if !slices.ContainsFunc(all, func(x node) bool { return x.path == n.path }) {
			all = append(all, n)
		}
	}
	return all
}

// sizeOf is how many values there are, those within others among them.
func sizeOf(values []any) int {
	n := len(values)
	for _, v := range values {
		switch v := v.(type) {
		case []any:
			n += sizeOf(v)
		case *orderedjson.Object:
			for _, k := range v.Keys {
				n += 1 + sizeOf([]any{v.Get(k)})
			}
		}
	}
	return n
}
