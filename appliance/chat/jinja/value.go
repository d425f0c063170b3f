package jinja

import (
	"math/big"
	"strconv"
	"strings"
)

// Value of an expression, by Python's types: nil (None), bool, int64 and *big.Int (int;
// the latter only what the former does not hold), float64, Text (str), *List, *Tuple,
// *Dict, *Range, *view, *generator, *Namespace, Undefined, and what can be called.
type Value any

type (
	// List of values.
	List struct{ Items []Value }
	// Tuple of values, some with names (grouper and list of groupby).
	Tuple struct {
		Items []Value
		names []string
	}
	// Range of integers.
	Range struct{ from, to, step int64 }
	// view is what keys, values and items of a dictionary return.
	view struct {
		kind  string // keys, values, items
		items []Value
	}
	// generator gives its items once.
	generator struct {
		what string // generator, or what Python calls the iterator
		left []Value
	}
	// Namespace has attributes that set may change.
	Namespace struct{ attrs *Dict }
	// Undefined is a value that is not there. It prints as nothing; more than that
	// cannot be done with it.
	Undefined struct{ why string }
)

// callable is what a template may call.
type callable interface {
	call(r *run, a args) Value
}

// function of the program's.
type function struct {
	name string
	do   func(r *run, a args) Value
}

func (f function) call(r *run, a args) Value { return f.do(r, a) }

// list makes a list of its items and counts what it takes.
func (r *run) list(items []Value) *List {
	r.take(itemBytes * len(items))
	return &List{items}
}

// Dict keeps the order in which its keys came.
type Dict struct {
	keys  []Value
	vals  []Value
	index map[any]int
}

// NewDict of keys and values in turn; a key may be a plain string.
func NewDict(pairs ...any) *Dict {
	d := &Dict{index: map[any]int{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		key := pairs[i]
		if s, ok := key.(string); ok {
			key = Own(s)
		}
		d.Set(key, pairs[i+1])
	}
	return d
}

// Set a key's value. A key that cannot be one fails as every operation here does.
func (d *Dict) Set(key, v Value) {
	h := hashed(key, 0)
	if i, ok := d.index[h]; ok {
		d.vals[i] = v
		return
	}
	d.index[h] = len(d.keys)
	d.keys, d.vals = append(d.keys, key), append(d.vals, v)
}

// Get the value of a key.
func (d *Dict) Get(key Value) (Value, bool) {
	if i, ok := d.index[hashed(key, 0)]; ok {
		return d.vals[i], true
	}
	return nil, false
}

func (d *Dict) get(key string) (Value, bool) {
	if i, ok := d.index[key]; ok {
		return d.vals[i], true
	}
	return nil, false
}

type (
	noneKey  struct{}
	tupleKey string
)

// maxKey is the size of a key that is a tuple.
const maxKey = 64 << 10

// hashed is the same for keys that Python holds to be equal.
func hashed(v Value, depth int) any {
	switch v := v.(type) {
	case nil:
		return noneKey{}
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case int64:
		return v
	case float64:
		if i := int64(v); float64(i) == v {
			return i
		}
		return v
	case Text:
		return v.s
	case *big.Int:
		return tupleKey(v.String())
	case *Tuple:
		var b strings.Builder
		for _, x := range v.Items {
			if depth > maxNested {
				exceed("a key is nested more than %d deep", maxNested)
			}
			h := hashed(x, depth+1)
			s := ""
			switch h := h.(type) {
			case string:
				s = strconv.Quote(h)
			case int64:
				s = strconv.FormatInt(h, 10)
			case float64:
				s = floatText(h)
			case tupleKey:
				s = "(" + string(h) + ")"
			case noneKey:
				s = "None"
			}
			b.WriteString(s + ",")
			if b.Len() > maxKey {
				fail("a key of tuples is longer than %d bytes", maxKey)
			}
		}
		return tupleKey(b.String())
	case Undefined:
		return Undefined{}
	case *List, *Dict:
		fail("unhashable type: '%s'", typeName(v))
	}
	return v
}

// typeName is what Python calls the type.
func typeName(v Value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case Text:
		return "str"
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *Range:
		return "range"
	case *view:
		return "dict_" + v.kind
	case *generator:
		return v.what
	case *Namespace:
		return "Namespace"
	case Undefined:
		return "Undefined"
	case *macro:
		return "Macro"
	case *loop:
		return "LoopContext"
	case self:
		return "TemplateReference"
	}
	return "function"
}

// must refuses what is undefined.
func must(v Value) Value {
	if u, ok := v.(Undefined); ok {
		fail("%s", u.why)
	}
	return v
}

// truth of a value, as Python's bool.
func truth(v Value) bool {
	switch v := v.(type) {
	case nil, Undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.s != ""
	case *List:
		return len(v.Items) > 0
	case *Tuple:
		return len(v.Items) > 0
	case *Dict:
		return len(v.keys) > 0
	case *Range:
		return v.len() > 0
	case *view:
		return len(v.items) > 0
	}
	return true
}

func (x *Range) len() int64 {
	switch {
	case x.step > 0 && x.from < x.to:
		return (x.to-x.from-1)/x.step + 1
	case x.step < 0 && x.from > x.to:
		return (x.from-x.to-1)/-x.step + 1
	}
	return 0
}

// items of what can be gone through.
func (r *run) items(v Value) []Value {
	switch v := v.(type) {
	case *List:
		return v.Items
	case *Tuple:
		return v.Items
	case *Dict:
		return v.keys
	case *view:
		return v.items
	case Text:
		return r.runes(v)
	case *generator:
		left := v.left
		v.left = nil
		return left
	case *Range:
		n := v.len()
		if n > maxSteps {
			exceed("it takes more than %d steps", maxSteps)
		}
		r.take(itemBytes * int(n))
		list := make([]Value, n)
		for i := range list {
			list[i] = v.from + int64(i)*v.step
		}
		return list
	case Undefined:
		return nil
	case *loop:
		return v.rest()
	}
	fail("'%s' object is not iterable", typeName(v))
	return nil
}

// length of what has one.
func length(v Value) int64 {
	switch v := v.(type) {
	case *List:
		return int64(len(v.Items))
	case *Tuple:
		return int64(len(v.Items))
	case *Dict:
		return int64(len(v.keys))
	case *view:
		return int64(len(v.items))
	case Text:
		return int64(v.length())
	case *Range:
		return v.len()
	case Undefined:
		return 0
	case *loop:
		return int64(len(v.items))
	}
	fail("object of type '%s' has no len()", typeName(v))
	return 0
}
