package jinja

import (
	"math/big"
	"slices"
)

// attribute is x.name: what Python calls an attribute, else the item of that name. The
// sandbox has no attributes that begin with _, and none that change a value.
func (r *run) attribute(of Value, name string) Value {
	if v, ok := r.member(of, name); ok {
		return v
	}
	if d, ok := of.(*Dict); ok {
		if v, ok := d.get(name); ok {
			return v
		}
	}
	return r.missing(of, Own(name))
}

// item is x[index]: the item, else for a text the attribute of that name.
func (r *run) item(of, index Value) Value {
	switch v := must(of).(type) {
	case *Dict:
		switch index.(type) {
		case *List, *Dict:
		default:
			if x, ok := v.Get(index); ok {
				return x
			}
		}
	case Text:
		if i, ok := place(index, int64(v.length())); ok {
			at := v.at(int(i))
			r.looked(at)
			return v.slice(at, v.at(int(i)+1))
		}
	case *List:
		if i, ok := place(index, int64(len(v.Items))); ok {
			return v.Items[i]
		}
	case *Tuple:
		if i, ok := place(index, int64(len(v.Items))); ok {
			return v.Items[i]
		}
	case *Range:
		if i, ok := place(index, v.len()); ok {
			return v.from + i*v.step
		}
	}
	if t, ok := index.(Text); ok {
		if v, ok := r.member(of, t.s); ok {
			return v
		}
	}
	return r.missing(of, index)
}

// place of an index among n items, counted from the end where it is below 0.
func place(index Value, n int64) (int64, bool) {
	b := bigOf(index)
	if b == nil || !b.IsInt64() {
		return 0, false
	}
	i := b.Int64()
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

// missing is what is not there. Its reason names what the template itself names.
func (r *run) missing(of, name Value) Value {
	what := "'" + typeName(of) + " object'"
	switch of.(type) {
	case nil:
		what = "'None'"
	case Undefined:
		must(of)
	}
	switch n := name.(type) {
	case Text:
		if len(n.foreign) == 0 {
			return Undefined{what + " has no attribute '" + shortened(n.s) + "'"}
		}
	case int64, *big.Int:
		return Undefined{what + " has no element " + r.str(n).s}
	}
	return Undefined{what + " has no such element"}
}

var changing = map[string][]string{
	"dict": {"clear", "pop", "popitem", "setdefault", "update"},
	"list": {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"},
}

// member is an attribute in Python's sense.
func (r *run) member(of Value, name string) (Value, bool) {
	must(of)
	if slices.Contains(changing[typeName(of)], name) {
		return Undefined{"access to attribute '" + name + "' of '" + typeName(of) + "' object is unsafe"}, true
	}
	switch v := of.(type) {
	case Text:
		if do, ok := textMethods[name]; ok {
			return function{name, func(r *run, a args) Value {
				r.looked(len(v.s))
				return do(r, v, a)
			}}, true
		}
	case *Dict:
		return v.member(name)
	case *List:
		return sequenceMember(v.Items, name)
	case *Range:
		return sequenceMember(r.items(v), name)
	case *Tuple:
		if i := slices.Index(v.names, name); i >= 0 {
			return v.Items[i], true
		}
		return sequenceMember(v.Items, name)
	case *Namespace:
		return v.attrs.get(name)
	case *loop:
		return v.attr(name)
	case *cycler:
		return v.member(name)
	case *macro:
		switch name {
		case "name":
			return Own(v.name), true
		case "arguments":
			t := &Tuple{}
			for _, p := range v.params {
				t.Items = append(t.Items, Own(p))
			}
			return t, true
		case "caller":
			return v.caller, true
		}
	}
	return nil, false
}

func (d *Dict) member(name string) (Value, bool) {
	var do func(r *run, a args) Value
	switch name {
	case "keys":
		do = func(r *run, _ args) Value { return &view{"keys", d.keys} }
	case "values":
		do = func(r *run, _ args) Value { return &view{"values", d.vals} }
	case "items":
		do = func(r *run, _ args) Value { return &view{"items", r.pairs(d)} }
	case "get":
		do = func(r *run, a args) Value {
			b := a.bind("get", "key", "default")
			if v, ok := d.Get(or(b[0], Undefined{})); ok {
				return v
			}
			return or(b[1], nil)
		}
	case "copy":
		do = func(r *run, _ args) Value { return r.copied(d) }
	default:
		return nil, false
	}
	return function{name, do}, true
}

func (r *run) copied(d *Dict) *Dict {
	r.take(2 * itemBytes * len(d.keys))
	c := NewDict()
	for i, k := range d.keys {
		c.Set(k, d.vals[i])
	}
	return c
}

// pairs of a dictionary, as tuples.
func (r *run) pairs(d *Dict) []Value {
	r.take(3 * itemBytes * len(d.keys))
	list := make([]Value, len(d.keys))
	for i, k := range d.keys {
		list[i] = &Tuple{Items: []Value{k, d.vals[i]}}
	}
	return list
}

func sequenceMember(items []Value, name string) (Value, bool) {
	switch name {
	case "index":
		return function{name, func(r *run, a args) Value {
			x := a.bind("index", "value")[0]
			for i, v := range items {
				if r.equal(v, x, 0) {
					return int64(i)
				}
			}
			fail("the value is not in the list")
			return nil
		}}, true
	case "count":
		return function{name, func(r *run, a args) Value {
			x, n := a.bind("count", "value")[0], int64(0)
			for _, v := range items {
				if r.equal(v, x, 0) {
					n++
				}
			}
			return n
		}}, true
	case "copy":
		return function{name, func(r *run, _ args) Value { return r.list(slices.Clone(items)) }}, true
	}
	return nil, false
}

// sliced is x[from:to:step].
func (r *run) sliced(of Value, at [3]Value) Value {
	switch v := of.(type) {
	case Text:
		return r.slicedText(v, at)
	case *List:
		return r.list(cut(v.Items, at))
	case *Tuple:
		r.take(itemBytes * len(v.Items))
		return &Tuple{Items: cut(v.Items, at)}
	case *Range:
		from, to, step := bounds(int(v.len()), at)
		return &Range{v.from + int64(from)*v.step, v.from + int64(to)*v.step, v.step * int64(step)}
	}
	fail("'%s' object cannot be sliced", typeName(of))
	return nil
}

func (r *run) slicedText(t Text, at [3]Value) Value {
	r.looked(len(t.s))
	n := t.length()
	from, to, step := bounds(n, at)
	if step == 1 {
		if from >= to {
			return Text{}
		}
		return t.slice(t.at(from), t.at(to))
	}
	b := r.builder()
	for _, c := range cut(r.runes(t), at) {
		b.text(c.(Text))
	}
	return b.done()
}

// bounds of a slice of n items, as Python finds them.
func bounds(n int, at [3]Value) (from, to, step int) {
	step = 1
	if at[2] != nil {
		if step = intOf(at[2]); step == 0 {
			fail("slice step cannot be zero")
		}
	}
	low, high := 0, n
	if step < 0 {
		low, high = -1, n-1
	}
	clamp := func(v Value, otherwise int) int {
		if v == nil {
			return otherwise
		}
		i := intOf(v)
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	if step > 0 {
		return clamp(at[0], low), clamp(at[1], high), step
	}
	return clamp(at[0], high), clamp(at[1], low), step
}

func cut(items []Value, at [3]Value) []Value {
	from, to, step := bounds(len(items), at)
	all := []Value{}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		all = append(all, items[i])
	}
	return all
}
