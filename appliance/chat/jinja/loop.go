package jinja

// loop is what a template knows by that name in a for.
type loop struct {
	of     *forStatement
	scope  *scope // around the for
	items  []Value
	at     int
	depth0 int
	last   *List // what changed was called with
}

func (x *forStatement) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	return x.turns(r, s, x.over.eval(r, s), 0, out)
}

// turns goes through a value. A recursive loop comes here again by its own call.
func (x *forStatement) turns(r *run, s *scope, over Value, depth0 int, out *builder) signal {
	l := &loop{of: x, scope: s, items: x.chosen(r, s, r.items(over)), depth0: depth0}
	whole := false // a turn came to its end; Jinja2 takes the else where none did
	for ; l.at < len(l.items); l.at++ {
		r.step(1)
		inner := s.inner()
		inner.set("loop", l)
		x.into.assign(r, inner, l.items[l.at])
		sig := r.exec(x.body, inner, out)
		if sig == breaks {
			break
		}
		whole = whole || sig == goesOn
	}
	if whole {
		return goesOn
	}
	return r.exec(x.otherwise, s.inner(), out)
}

// chosen are the items that pass the test of the for.
func (x *forStatement) chosen(r *run, s *scope, items []Value) []Value {
	if x.test == nil {
		return items
	}
	var chosen []Value
	for _, v := range items {
		r.step(1)
		inner := s.inner()
		x.into.assign(r, inner, v)
		if truth(x.test.eval(r, inner)) {
			r.take(itemBytes)
			chosen = append(chosen, v)
		}
	}
	return chosen
}

// call goes through a value with the body of a recursive loop.
func (l *loop) call(r *run, a args) Value {
	if !l.of.recursive {
		fail("loop is called, and the for is not recursive")
	}
	r.down()
	defer r.up()
	line := r.line
	out := r.builder()
	l.of.turns(r, l.scope, a.bind("loop", "iterable")[0], l.depth0+1, out)
	r.line = line
	return out.done()
}

// rest of the items, for what goes through loop itself.
func (l *loop) rest() []Value {
	rest := l.items[min(l.at+1, len(l.items)):]
	l.at = len(l.items) - 1
	return rest
}

// attr is an attribute of the loop.
func (l *loop) attr(name string) (Value, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.at + 1), true
	case "index0":
		return int64(l.at), true
	case "revindex":
		return int64(n - l.at), true
	case "revindex0":
		return int64(n - l.at - 1), true
	case "first":
		return l.at == 0, true
	case "last":
		return l.at == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth0 + 1), true
	case "depth0":
		return int64(l.depth0), true
	case "previtem":
		if l.at == 0 {
			return Undefined{"there is no previous item"}, true
		}
		return l.items[l.at-1], true
	case "nextitem":
		if l.at == n-1 {
			return Undefined{"there is no next item"}, true
		}
		return l.items[l.at+1], true
	case "cycle":
		return function{name, func(_ *run, a args) Value {
			if len(a.pos) == 0 {
				fail("no items for cycling given")
			}
			return a.pos[l.at%len(a.pos)]
		}}, true
	case "changed":
		return function{name, func(r *run, a args) Value {
			now := &List{a.pos}
			changed := l.last == nil || !r.equal(l.last, now, 0)
			l.last = now
			return changed
		}}, true
	}
	return nil, false
}
