package chat

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"unicode/utf8"
)

// enum is the listed values that satisfy the rest of the shape too.
func (c *compiler) enum(s *shape) (bodies []string, err error) {
	var pattern *regexp.Regexp
	if s.pattern != "" {
		if pattern, err = regexp.Compile(s.pattern); err != nil {
			return nil, c.fail(s.path+"/pattern", "%v", err)
		}
	}
	if s.format != "" {
		return nil, c.fail(s.path+"/format", "it cannot be combined with enum or const")
	}
	for _, v := range s.enum {
		ok, sure := s.admits(v, pattern)
		if !sure {
			return nil, c.fail(s.path, "enum and const of objects and arrays cannot be combined with other keywords")
		}
		if ok {
			bodies = append(bodies, quote(canonical(v)))
		}
	}
	return bodies, nil
}

// admits reports whether a value satisfies all but the enum of a shape; it is not sure
// of structures.
func (s *shape) admits(v any, pattern *regexp.Regexp) (ok, sure bool) {
	switch v := v.(type) {
	case nil:
		return s.kinds&kindNull != 0, true
	case bool:
		return s.kinds&kindBool != 0, true
	case string:
		n := utf8.RuneCountInString(v)
		return s.kinds&kindString != 0 && n >= s.minLength && n <= s.maxLength && (pattern == nil || pattern.MatchString(v)), true
	case json.Number:
		f, err := v.Float64()
		whole := f == math.Trunc(f)
		kind := s.kinds&kindFraction != 0 || whole && s.kinds&kindInteger != 0
		return err == nil && kind && !beyond(bound{at: f}, s.high) && !beyond(s.low, bound{at: f}), true
	case []any:
		return s.kinds&kindArray != 0, s.kinds&kindArray == 0 || len(s.prefix) == 0 && s.items == nil && s.minItems == 0 && s.maxItems == math.MaxInt
	case *object:
		missing := slices.ContainsFunc(s.required, func(name string) bool { return !v.has(name) })
		return s.kinds&kindObject != 0 && !missing, s.kinds&kindObject == 0 || len(s.props) == 0 && s.extra == nil && !s.closed
	}
	return false, true
}
