package chat

import "slices"

// overlap reports whether a value might satisfy one of a and one of b. It errs on the
// side of yes.
func overlap(a, b []*shape) bool {
	return slices.ContainsFunc(a, func(x *shape) bool {
		return slices.ContainsFunc(b, func(y *shape) bool { return !apart(x, y) })
	})
}

// apart reports whether no value can satisfy both shapes.
func apart(x, y *shape) bool {
	both := x.kinds & y.kinds
	switch {
	case both == 0:
		return true
	case x.enum != nil && y.enum != nil:
		return !slices.ContainsFunc(x.enum, func(v any) bool {
			return slices.ContainsFunc(y.enum, func(w any) bool { return sameJSON(v, w) })
		})
	case both&^kindNumber == 0:
		return beyond(x.low, y.high) || beyond(y.low, x.high)
	case both == kindObject:
		return lacks(x, y) || lacks(y, x) || marked(x, y)
	}
	return false
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
func marked(x, y *shape) bool {
	return slices.ContainsFunc(x.required, func(name string) bool {
		if !slices.Contains(y.required, name) {
			return false
		}
		a, b := literals(x, name), literals(y, name)
		return a != nil && b != nil && !slices.ContainsFunc(a, func(v any) bool {
			return slices.ContainsFunc(b, func(w any) bool { return sameJSON(v, w) })
		})
	})
}

// literals are the values a property is confined to, nil where it is not.
func literals(s *shape, name string) []any {
	schemas, _ := s.property(name)
	for _, n := range schemas {
		o, ok := n.schema.(*object)
		if !ok {
			continue
		}
		if o.has("const") {
			return []any{o.get("const")}
		}
		if list, ok := o.get("enum").([]any); ok {
			return list
		}
	}
	return nil
}
