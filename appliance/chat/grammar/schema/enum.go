package schema

import (
	"encoding/json"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"unicode/utf8"

	"skerry/appliance/chat/orderedjson"
)

// enum is the listed values that satisfy the rest of the shape too.
func (c *compiler) enum(s *shape) (bodies []string, err error) {
	var pattern *regexp.Regexp
	if s.pattern != "" {
		if pattern, err = c.regexp(s); err != nil {
			if err := c.worked(s.path); err != nil {
				return nil, err
			}
			if err := c.cannot(s.path+"/pattern", "%v", err); err != nil {
				return nil, err
			}
		}
	}
	if s.format != "" {
		if err := c.cannot(s.path+"/format", "it cannot be combined with enum or const"); err != nil {
			return nil, err
		}
	}
	for _, v := range s.enum {
		ok, sure := s.admits(v, pattern)
		if !sure {
			if err := c.cannot(s.path, "enum and const of objects and arrays cannot be combined with other keywords"); err != nil {
				return nil, err
			}
		}
		if ok {
			bodies = append(bodies, Quote(orderedjson.Compact(s.asInteger(v))))
		}
	}
	return bodies, nil
}

// regexp compiles the pattern of a shape with an enum. To match a text takes steps in
// proportion to its length and to the size of the program.
func (c *compiler) regexp(s *shape) (*regexp.Regexp, error) {
	if len(s.pattern) > maxPattern {
		return nil, errPattern
	}
	re, err := syntax.Parse(s.pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	bytes := 0
	for _, v := range s.enum {
		text, _ := v.(string)
		bytes += len(text)
	}
	if c.work += len(program.Inst)/2 + len(program.Inst)*bytes/32; c.work > maxWork {
		return nil, errTooLarge
	}
	return regexp.Compile(s.pattern)
}

// asInteger writes a whole number as readers of integers expect it where integers are
// asked for: 5.0 and 5e0 as 5.
func (s *shape) asInteger(v any) any {
	n, number := v.(json.Number)
	f, err := n.Float64()
	if !number || err != nil || s.kinds&kindFraction != 0 || math.Abs(f) > maxWhole {
		return v
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
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
	case *orderedjson.Object:
		missing := slices.ContainsFunc(s.required, func(name string) bool { return !v.Has(name) })
		return s.kinds&kindObject != 0 && !missing, s.kinds&kindObject == 0 || len(s.props) == 0 && s.extra == nil && !s.closed
	}
	return false, true
}
