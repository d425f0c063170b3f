package jinja

import "math/big"

func (x *constant) eval(*run, *scope) Value { return x.v }

func (x *load) eval(r *run, s *scope) Value {
	r.step(1)
	if v, ok := s.get(x.name); ok {
		return v
	}
	return Undefined{"'" + x.name + "' is undefined"}
}

func evalAll(r *run, s *scope, all []expression) []Value {
	values := make([]Value, len(all))
	for i, x := range all {
		values[i] = x.eval(r, s)
	}
	return values
}

func (x *listOf) eval(r *run, s *scope) Value { return r.list(evalAll(r, s, x.items)) }

func (x *tupleOf) eval(r *run, s *scope) Value {
	r.take(itemBytes * len(x.items))
	return &Tuple{Items: evalAll(r, s, x.items)}
}

func (x *dictOf) eval(r *run, s *scope) Value {
	r.take(itemBytes * 2 * len(x.keys))
	d := NewDict()
	for i, k := range x.keys {
		d.Set(must(k.eval(r, s)), x.vals[i].eval(r, s))
	}
	return d
}

func (x *unary) eval(r *run, s *scope) Value {
	r.step(1)
	v := x.of.eval(r, s)
	if x.op == "not" {
		return !truth(v)
	}
	r.line = x.line
	switch v := must(v).(type) {
	case float64:
		if x.op == "-" {
			return -v
		}
		return v
	case bool, int64, *big.Int:
		n := bigOf(v)
		if x.op == "-" {
			n = new(big.Int).Neg(n)
		}
		return shrunk(n)
	}
	fail("bad operand type for unary %s: '%s'", x.op, typeName(v))
	return nil
}

func (x *both) eval(r *run, s *scope) Value {
	r.step(1)
	if v := x.left.eval(r, s); !truth(v) {
		return v
	}
	return x.right.eval(r, s)
}

func (x *either) eval(r *run, s *scope) Value {
	r.step(1)
	if v := x.left.eval(r, s); truth(v) {
		return v
	}
	return x.right.eval(r, s)
}

func (x *joined) eval(r *run, s *scope) Value {
	b := r.builder()
	for _, part := range x.parts {
		r.step(1)
		b.text(r.str(part.eval(r, s)))
	}
	return b.done()
}

func (x *conditional) eval(r *run, s *scope) Value {
	r.step(1)
	if truth(x.test.eval(r, s)) {
		return x.then.eval(r, s)
	}
	if x.otherwise != nil {
		return x.otherwise.eval(r, s)
	}
	return Undefined{"the inline if-expression evaluated to false and no else section was defined"}
}

func (x *compared) eval(r *run, s *scope) Value {
	left := x.first.eval(r, s)
	for i, op := range x.ops {
		r.step(1)
		right := x.rest[i].eval(r, s)
		r.line = x.line
		if !r.compare(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (x *binary) eval(r *run, s *scope) Value {
	r.step(1)
	left := x.left.eval(r, s)
	right := x.right.eval(r, s)
	r.line = x.line
	return r.operate(x.op, left, right)
}

func (x *attribute) eval(r *run, s *scope) Value {
	r.step(1)
	of := x.of.eval(r, s)
	r.line = x.line
	return r.attribute(of, x.name)
}

func (x *subscript) eval(r *run, s *scope) Value {
	r.step(1)
	of := x.of.eval(r, s)
	if cut, ok := x.index.(*slicing); ok {
		var at [3]Value
		for i, e := range []expression{cut.from, cut.to, cut.step} {
			if e != nil {
				at[i] = e.eval(r, s)
			}
		}
		r.line = x.line
		return r.sliced(must(of), at)
	}
	index := x.index.eval(r, s)
	r.line = x.line
	return r.item(of, index)
}

func (x *slicing) eval(*run, *scope) Value {
	fail("a slice stands among other subscripts")
	return nil
}

func (x *call) eval(r *run, s *scope) Value { return x.with(r, s, nil) }

// with calls, and gives the callee a caller.
func (x *call) with(r *run, s *scope, caller *macro) Value {
	r.step(1)
	of := x.of.eval(r, s)
	a := x.arguments.eval(r, s)
	if caller != nil {
		a.names, a.vals = append(a.names, "caller"), append(a.vals, caller)
	}
	r.line = x.line
	f, ok := must(of).(callable)
	if !ok {
		fail("'%s' object is not callable", typeName(of))
	}
	v := f.call(r, a)
	r.line = x.line
	return v
}

func (x *filterCall) eval(r *run, s *scope) Value { return x.apply(r, s, x.of.eval(r, s)) }

func (x *filterCall) apply(r *run, s *scope, in Value) Value {
	r.step(1)
	a := x.arguments.eval(r, s)
	r.line = x.line
	return r.filter(x.name, in, a)
}

func (x *testCall) eval(r *run, s *scope) Value {
	r.step(1)
	in := x.of.eval(r, s)
	a := x.arguments.eval(r, s)
	r.line = x.line
	return r.test(x.name, in, a) != x.not
}

// args are the arguments of a call.
type args struct {
	pos   []Value
	names []string
	vals  []Value // of names
}

func (x *arguments) eval(r *run, s *scope) (a args) {
	a.pos = evalAll(r, s, x.pos)
	if x.morePos != nil {
		more := r.items(must(x.morePos.eval(r, s)))
		r.take(itemBytes * len(more))
		a.pos = append(a.pos, more...)
	}
	a.names, a.vals = append(a.names, x.names...), evalAll(r, s, x.named)
	if x.moreName != nil {
		d, ok := must(x.moreName.eval(r, s)).(*Dict)
		if !ok {
			fail("the argument after ** must be a mapping")
		}
		for i, k := range d.keys {
			key, ok := k.(Text)
			if !ok {
				fail("keywords must be strings")
			}
			a.names, a.vals = append(a.names, key.s), append(a.vals, d.vals[i])
		}
	}
	return a
}

func (a args) named(name string) (Value, bool) {
	for i, n := range a.names {
		if n == name {
			return a.vals[i], true
		}
	}
	return nil, false
}

// unset is an argument that was not given.
type unset struct{}

// bind is a function's arguments in the order of its parameters.
func (a args) bind(what string, params ...string) []Value {
	if len(a.pos) > len(params) {
		fail("%s takes at most %d argument(s), %d are given", what, len(params), len(a.pos))
	}
	all := make([]Value, len(params))
	taken := 0
	for i, param := range params {
		all[i] = unset{}
		if v, ok := a.named(param); ok {
			all[i] = v
			taken++
		}
		if i < len(a.pos) {
			all[i] = a.pos[i]
		}
	}
	if taken < len(a.names) {
		fail("%s got an unexpected keyword argument", what)
	}
	return all
}

// or is a value that was given, else another.
func or(v, otherwise Value) Value {
	if _, ok := v.(unset); ok {
		return otherwise
	}
	return v
}
