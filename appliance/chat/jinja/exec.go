package jinja

import (
	"time"
)

// signal is how a statement ended.
type signal int

const (
	goesOn signal = iota
	breaks
	continues
)

// scope is the variables of a body; those around it are seen through it.
type scope struct {
	vars map[string]Value
	up   *scope
}

func (s *scope) inner() *scope { return &scope{up: s} }

func (s *scope) get(name string) (Value, bool) {
	for ; s != nil; s = s.up {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

func (s *scope) set(name string, v Value) {
	if s.vars == nil {
		s.vars = map[string]Value{}
	}
	s.vars[name] = v
}

// Render a template with variables. now is the clock of strftime_now and of the limit on
// time; nil takes time.Now. The error is an *Error, or a *Refusal of the template's own.
func (t *Template) Render(vars map[string]Value, now func() time.Time) (text Text, err error) {
	if now == nil {
		now = time.Now
	}
	r := &run{now: now, end: now().Add(maxTime), line: 1}
	defer func() {
		if e := recover(); e != nil {
			text, err = Text{}, caught(e, r.line)
		}
	}()
	globals := &scope{vars: globals}
	out := r.builder()
	r.exec(t.body, &scope{vars: copied(vars), up: globals}, out)
	return out.done(), nil
}

func copied(vars map[string]Value) map[string]Value {
	c := make(map[string]Value, len(vars))
	for k, v := range vars {
		c[k] = v
	}
	return c
}

func (r *run) exec(body []statement, s *scope, out *builder) signal {
	for _, x := range body {
		r.step(1)
		if sig := x.exec(r, s, out); sig != goesOn {
			return sig
		}
	}
	return goesOn
}

// text that a body makes.
func (r *run) text(body []statement, s *scope) Text {
	out := r.builder()
	r.exec(body, s, out)
	return out.done()
}

func (x *verbatim) exec(_ *run, _ *scope, out *builder) signal {
	out.own(x.text)
	return goesOn
}

func (x *output) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	out.text(r.str(x.expr.eval(r, s)))
	return goesOn
}

func (x *ifStatement) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	for i, test := range x.tests {
		if truth(test.eval(r, s)) {
			return r.exec(x.bodies[i], s, out)
		}
	}
	return r.exec(x.otherwise, s, out)
}

func (x *setStatement) exec(r *run, s *scope, _ *builder) signal {
	r.line = x.line
	x.into.assign(r, s, x.value.eval(r, s))
	return goesOn
}

func (x *setBlock) exec(r *run, s *scope, _ *builder) signal {
	r.line = x.line
	x.into.assign(r, s, r.filtered(x.with, r.text(x.body, s.inner()), s))
	return goesOn
}

func (x *withStatement) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	inner := s.inner()
	for i, into := range x.into {
		into.assign(r, inner, x.values[i].eval(r, s))
	}
	return r.exec(x.body, inner, out)
}

func (x *filterStatement) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	out.text(r.str(r.filtered(x.with, r.text(x.body, s.inner()), s)))
	return goesOn
}

// filtered sends the text of a block through its filters; a nil f leaves it.
func (r *run) filtered(f *filterCall, body Text, s *scope) Value {
	if f == nil {
		return body
	}
	var in Value = body
	if before, ok := f.of.(*filterCall); ok {
		in = r.filtered(before, body, s)
	}
	return f.apply(r, s, in)
}

func (x *scoped) exec(r *run, s *scope, out *builder) signal { return r.exec(x.body, s.inner(), out) }

func (x *jump) exec(*run, *scope, *builder) signal { return x.signal }

func (x *macroStatement) exec(_ *run, s *scope, _ *builder) signal {
	s.set(x.name, &macro{&x.macroDefinition, s})
	return goesOn
}

func (x *callStatement) exec(r *run, s *scope, out *builder) signal {
	r.line = x.line
	out.text(r.str(x.call.with(r, s, &macro{&x.caller, s})))
	return goesOn
}

// macro is a macro's definition and the scope it was defined in.
type macro struct {
	*macroDefinition
	scope *scope
}

func (m *macro) call(r *run, a args) Value {
	r.down()
	defer r.up()
	line := r.line
	s := m.scope.inner()
	for i, param := range m.params {
		v, ok := a.named(param)
		switch {
		case i < len(a.pos) && ok:
			fail("macro '%s' got two values for the argument '%s'", m.name, param)
		case i < len(a.pos):
			v = a.pos[i]
		case ok:
		case i >= len(m.params)-len(m.defaults):
			v = m.defaults[i-len(m.params)+len(m.defaults)].eval(r, s)
		default:
			v = Undefined{"parameter '" + param + "' was not provided"}
		}
		s.set(param, v)
	}
	m.others(r, s, a)
	t := r.text(m.body, s)
	r.line = line
	return t
}

// others are the arguments that no parameter takes.
func (m *macro) others(r *run, s *scope, a args) {
	rest := NewDict()
	for i, name := range a.names {
		if name == "caller" && m.caller {
			s.set(name, a.vals[i])
		} else if !m.takes(name) {
			rest.Set(Own(name), a.vals[i])
		}
	}
	if m.caller {
		if _, ok := a.named("caller"); !ok && !m.takes("caller") {
			s.set("caller", Undefined{"No caller defined"})
		}
	}
	if m.kwargs {
		s.set("kwargs", rest)
	} else if len(rest.keys) > 0 {
		fail("macro '%s' takes no keyword argument '%s'", m.name, rest.keys[0].(Text).s)
	}
	more := a.pos[min(len(a.pos), len(m.params)):]
	if m.varargs {
		s.set("varargs", &Tuple{Items: more})
	} else if len(more) > 0 {
		fail("macro '%s' takes not more than %d argument(s)", m.name, len(m.params))
	}
}

func (m *macro) takes(param string) bool {
	for _, p := range m.params {
		if p == param {
			return true
		}
	}
	return false
}

func (t *nameTarget) assign(_ *run, s *scope, v Value) { s.set(t.name, v) }

func (t *attrTarget) assign(_ *run, s *scope, v Value) {
	of, _ := s.get(t.of)
	ns, ok := of.(*Namespace)
	if !ok {
		fail("cannot assign attribute on non-namespace object")
	}
	ns.attrs.Set(Own(t.name), v)
}

func (t *tupleTarget) assign(r *run, s *scope, v Value) {
	items := r.items(must(v))
	if len(items) != len(t.parts) {
		fail("%d values cannot be unpacked into %d", len(items), len(t.parts))
	}
	for i, part := range t.parts {
		part.assign(r, s, items[i])
	}
}
