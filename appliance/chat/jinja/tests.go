package jinja

import (
	"math/big"
	"strings"
	"unicode"
)

// tests are what may stand behind is.
var tests map[string]func(r *run, v Value, a args) bool

func init() {
	tests = map[string]func(r *run, v Value, a args) bool{
		"defined":   func(_ *run, v Value, _ args) bool { return !isUndefined(v) },
		"undefined": func(_ *run, v Value, _ args) bool { return isUndefined(v) },
		"none":      func(_ *run, v Value, _ args) bool { return v == nil },
		"boolean":   func(_ *run, v Value, _ args) bool { _, ok := v.(bool); return ok },
		"true":      func(_ *run, v Value, _ args) bool { return v == true },
		"false":     func(_ *run, v Value, _ args) bool { return v == false },
		"string":    func(_ *run, v Value, _ args) bool { _, ok := v.(Text); return ok },
		"number":    func(_ *run, v Value, _ args) bool { _, ok := floatOf(v); return ok },
		"float":     func(_ *run, v Value, _ args) bool { _, ok := v.(float64); return ok },
		"integer": func(_ *run, v Value, _ args) bool {
			_, isBool := v.(bool)
			return bigOf(v) != nil && !isBool
		},
		"mapping":  func(_ *run, v Value, _ args) bool { _, ok := v.(*Dict); return ok },
		"sequence": func(_ *run, v Value, _ args) bool { return isSequence(v) },
		"iterable": func(_ *run, v Value, _ args) bool { return isIterable(v) },
		"callable": func(_ *run, v Value, _ args) bool {
			_, ok := v.(callable)
			return ok || isUndefined(v) // Undefined has a __call__, that fails
		},
		"sameas": func(_ *run, v Value, a args) bool { return same(v, a.bind("sameas", "other")[0]) },
		"odd": func(r *run, v Value, _ args) bool {
			return r.equal(r.operate("%", v, int64(2)), int64(1), 0)
		},
		"even": func(r *run, v Value, _ args) bool {
			return r.equal(r.operate("%", v, int64(2)), int64(0), 0)
		},
		"divisibleby": func(r *run, v Value, a args) bool {
			return r.equal(r.operate("%", v, a.bind("divisibleby", "num")[0]), int64(0), 0)
		},
		"lower":   func(r *run, v Value, _ args) bool { return cased(r.str(v).s, unicode.IsLower, unicode.IsUpper) },
		"upper":   func(r *run, v Value, _ args) bool { return cased(r.str(v).s, unicode.IsUpper, unicode.IsLower) },
		"escaped": func(_ *run, v Value, _ args) bool { t, ok := v.(Text); return ok && t.markup },
		"in":      func(r *run, v Value, a args) bool { return r.contains(a.bind("in", "seq")[0], v) },
		"filter":  func(r *run, v Value, _ args) bool { _, ok := filters[r.str(v).s]; return ok },
		"test":    func(r *run, v Value, _ args) bool { _, ok := tests[r.str(v).s]; return ok },
	}
	for op, names := range map[string]string{
		"==": "== eq equalto", "!=": "!= ne", "<": "< lt lessthan", "<=": "<= le", ">": "> gt greaterthan", ">=": ">= ge",
	} {
		for _, name := range strings.Fields(names) {
			tests[name] = func(r *run, v Value, a args) bool { return r.compare(op, v, a.bind(name, "other")[0]) }
		}
	}
}

func (r *run) test(name string, v Value, a args) bool {
	do, ok := tests[name]
	if !ok {
		fail("no test named %q", name)
	}
	return do(r, v, a)
}

func isUndefined(v Value) bool {
	_, ok := v.(Undefined)
	return ok
}

func isSequence(v Value) bool {
	switch v.(type) {
	case Text, *List, *Tuple, *Dict, *Range, Undefined:
		return true
	}
	return false
}

func isIterable(v Value) bool {
	switch v.(type) {
	case *view, *generator, *loop:
		return true
	}
	return isSequence(v)
}

// same is Python's is; equal numbers and texts are taken to be one.
func same(a, b Value) bool {
	switch x := a.(type) {
	case Text:
		y, ok := b.(Text)
		return ok && x.s == y.s
	case *big.Int:
		y, ok := b.(*big.Int)
		return ok && x.Cmp(y) == 0
	case function:
		return false
	}
	if _, ok := b.(Text); ok {
		return false
	}
	if _, ok := b.(function); ok {
		return false
	}
	return a == b
}
