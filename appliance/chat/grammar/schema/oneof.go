package schema

import (
	"slices"

	"skerry/appliance/chat/orderedjson"
)

// overlap reports whether a value might satisfy one of a and one of b. It errs on the
// side of yes.
func (c *compiler) overlap(a, b []*shape, path string) (bool, error) {
	for _, x := range a {
		for _, y := range b {
			over := !c.apart(x, y)
			if err := c.worked(path); err != nil || over {
				return over, err
			}
		}
	}
	return false, nil
}

// apart reports whether no value can satisfy both shapes.
func (c *compiler) apart(x, y *shape) bool {
	c.work += 1 + len(x.required) + len(y.required)
	both := x.kinds & y.kinds
	switch {
	case both == 0:
		return true
	case x.enum != nil && y.enum != nil:
		return c.disjoint(x.enum, y.enum)
	case both&^kindNumber == 0:
		return beyond(x.low, y.high) || beyond(y.low, x.high)
	case both == kindObject:
		return lacks(x, y) || lacks(y, x) || c.marked(x, y)
	}
	return false
}

// disjoint reports whether no value is among both.
func (c *compiler) disjoint(a, b []any) bool {
	if c.work += len(a)*sizeOf(b) + len(b)*sizeOf(a); c.work > maxWork {
		return false
	}
	return !slices.ContainsFunc(a, func(v any) bool {
		return slices.ContainsFunc(b, func(w any) bool { return orderedjson.Equal(v, w) })
	})
}

func beyond(low, high bound) bool {
	return low.at > high.at || low.at == high.at && (low.open || high.open)
}

// lacks reports whether x demands a property that y forbids.
func lacks(x, y *shape) bool {
	return slices.ContainsFunc(x.required, func(name string) bool {
		_, ok := y.property(name)
		return !ok
	})
}

// marked reports whether a property that both demand tells them apart.
func (c *compiler) marked(x, y *shape) bool {
	return slices.ContainsFunc(x.required, func(name string) bool {
		if !y.requires(name) {
			return false
		}
		a, b := c.literals(x, name), c.literals(y, name)
		return a != nil && b != nil && c.disjoint(a, b)
	})
}

// literals are the values a property is confined to, nil where it is not.
func (c *compiler) literals(s *shape, name string) []any {
	schemas, _ := s.property(name)
	c.work += len(schemas)
	for _, n := range schemas {
		o, ok := n.schema.(*orderedjson.Object)
		if !ok {
			continue
		}
		if o.Has("const") {
			return []any{o.Get("const")}
		}
		if list, ok := o.Get("enum").([]any); ok {
			return list
		}
	}
	return nil
}
