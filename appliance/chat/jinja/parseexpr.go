package jinja

import (
	"math/big"
	"slices"
	"strconv"
)

// Expressions, one function a level as in Jinja2's parser, the loosest first.

func (p *parser) expression() expression { return p.conditional() }

func (p *parser) conditional() expression {
	defer p.deeper()()
	e := p.or()
	for p.skipWord("if") {
		p.soft++
		c := &conditional{test: p.or(), then: e}
		if p.skipWord("else") {
			c.otherwise = p.conditional()
		}
		p.soft--
		e = c
	}
	return e
}

func (p *parser) or() expression {
	e := p.and()
	for p.skipWord("or") {
		e = &either{e, p.and()}
	}
	return e
}

func (p *parser) and() expression {
	e := p.not()
	for p.skipWord("and") {
		e = &both{e, p.not()}
	}
	return e
}

func (p *parser) not() expression {
	defer p.deeper()()
	if line := p.line(); p.skipWord("not") {
		return &unary{line, "not", p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expression {
	c := &compared{line: p.line(), first: p.sum()}
	for {
		t := p.current()
		op := ""
		switch {
		case t.kind == operator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.val):
			op = t.val
		case p.word("in"):
			op = "in"
		case p.word("not") && p.look().kind == name && p.look().val == "in":
			p.next()
			op = "not in"
		default:
			if len(c.ops) == 0 {
				return c.first
			}
			return c
		}
		p.next()
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
}

// binary operators of one level, grouped from the left.
func (p *parser) binary(operand func() expression, ops ...string) expression {
	e := operand()
	for t := p.current(); t.kind == operator && slices.Contains(ops, t.val); t = p.current() {
		p.next()
		e = &binary{t.line, t.val, e, operand()}
	}
	return e
}

func (p *parser) sum() expression { return p.binary(p.join, "+", "-") }

func (p *parser) join() expression {
	parts := []expression{p.product()}
	for p.skipOp("~") {
		parts = append(parts, p.product())
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &joined{parts}
}

func (p *parser) product() expression { return p.binary(p.power, "*", "/", "//", "%") }

func (p *parser) power() expression {
	return p.binary(func() expression { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expression {
	defer p.deeper()()
	var e expression
	if t := p.current(); p.op("-") || p.op("+") {
		p.next()
		e = &unary{t.line, t.val, p.unary(false)}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filters(e)
	}
	return e
}

func (p *parser) primary() expression {
	t := p.current()
	switch t.kind {
	case name:
		p.next()
		return p.name(t)
	case text:
		s := ""
		for p.current().kind == text {
			s += p.next().val
		}
		return &constant{Own(s)}
	case integer:
		p.next()
		return &constant{number(t.val)}
	case float:
		p.next()
		f, _ := strconv.ParseFloat(t.val, 64)
		return &constant{f}
	case operator:
		switch t.val {
		case "(":
			p.next()
			e := p.parentheses()
			p.expect(operator, ")")
			return e
		case "[":
			p.next()
			return p.list()
		case "{":
			p.next()
			return p.dict()
		}
	}
	fail("unexpected %s", t.shown())
	return nil
}

func number(s string) Value {
	n, ok := new(big.Int).SetString(s, 0)
	if !ok {
		n, ok = new(big.Int).SetString(s, 10) // zeros in front
	}
	if !ok {
		fail("%q is no number", s)
	}
	return shrunk(n)
}

// shrunk is an integer in the form that it has as a value.
func shrunk(n *big.Int) Value {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

func (p *parser) name(t token) expression {
	switch t.val {
	case "true", "True":
		return &constant{true}
	case "false", "False":
		return &constant{false}
	case "none", "None":
		return &constant{nil}
	}
	if n := len(p.macros); n > 0 {
		m := p.macros[n-1]
		m.caller = m.caller || t.val == "caller"
		m.varargs = m.varargs || t.val == "varargs"
		m.kwargs = m.kwargs || t.val == "kwargs"
	}
	return &load{t.line, t.val}
}

func (p *parser) parentheses() expression {
	if p.op(")") {
		return &tupleOf{}
	}
	return p.tuple(true)
}

// tuple is an expression, or several with commas between, which are a tuple. Without
// conditions an if behind it is not part of it.
func (p *parser) tuple(conditions bool, ends ...string) expression {
	one := p.or
	if conditions {
		one = p.expression
	}
	first := one()
	if !p.op(",") {
		return first
	}
	items := []expression{first}
	for p.skipOp(",") {
		if t := p.current(); t.kind == blockEnd || t.kind == outputEnd || t.kind == operator && t.val == ")" || t.kind == name && slices.Contains(ends, t.val) {
			break
		}
		items = append(items, one())
	}
	return &tupleOf{items}
}

func (p *parser) list() expression {
	e := &listOf{}
	for !p.skipOp("]") {
		if len(e.items) > 0 {
			p.expect(operator, ",")
			if p.skipOp("]") {
				break
			}
		}
		e.items = append(e.items, p.expression())
	}
	return e
}

func (p *parser) dict() expression {
	e := &dictOf{}
	for !p.skipOp("}") {
		if len(e.keys) > 0 {
			p.expect(operator, ",")
			if p.skipOp("}") {
				break
			}
		}
		e.keys = append(e.keys, p.expression())
		p.expect(operator, ":")
		e.vals = append(e.vals, p.expression())
	}
	return e
}

// postfix takes attributes, subscripts and calls.
func (p *parser) postfix(e expression) expression {
	for {
		t := p.current()
		switch {
		case p.skipOp("."):
			e = p.attribute(e)
		case p.skipOp("["):
			e = p.subscript(t.line, e)
		case p.skipOp("("):
			e = &call{t.line, e, p.arguments()}
		default:
			return e
		}
	}
}

func (p *parser) attribute(of expression) expression {
	t := p.next()
	switch t.kind {
	case name:
		return &attribute{t.line, of, t.val}
	case integer:
		return &subscript{t.line, of, &constant{number(t.val)}}
	}
	fail("expected a name or a number behind the dot")
	return nil
}

func (p *parser) subscript(line int, of expression) expression {
	var items []expression
	for !p.skipOp("]") {
		if len(items) > 0 {
			p.expect(operator, ",")
		}
		items = append(items, p.subscribed())
	}
	switch len(items) {
	case 0:
		fail("a subscript is empty")
	case 1:
		return &subscript{line, of, items[0]}
	}
	return &subscript{line, of, &tupleOf{items}}
}

func (p *parser) subscribed() expression {
	var parts [3]expression
	if !p.op(":") {
		first := p.expression()
		if !p.op(":") {
			return first
		}
		parts[0] = first
	}
	for i := 1; i < 3 && p.skipOp(":"); i++ {
		if !p.op(":") && !p.op("]") && !p.op(",") {
			parts[i] = p.expression()
		}
	}
	return &slicing{parts[0], parts[1], parts[2]}
}

// arguments of a call from behind its parenthesis.
func (p *parser) arguments() (a arguments) {
	for first := true; !p.skipOp(")"); first = false {
		if !first {
			p.expect(operator, ",")
			if p.skipOp(")") {
				break
			}
		}
		switch {
		case p.skipOp("*"):
			a.morePos = p.expression()
		case p.skipOp("**"):
			a.moreName = p.expression()
		case p.current().kind == name && p.look().kind == operator && p.look().val == "=":
			a.names = append(a.names, p.next().val)
			p.next()
			a.named = append(a.named, p.expression())
		default:
			if len(a.names) > 0 || a.moreName != nil {
				fail("an argument without a name follows one with")
			}
			a.pos = append(a.pos, p.expression())
		}
	}
	return a
}

// filters takes filters, tests and calls behind them.
func (p *parser) filters(e expression) expression {
	for {
		t := p.current()
		switch {
		case p.op("|"):
			e = p.filter(e, false)
		case p.skipWord("is"):
			e = p.test(t.line, e)
		case p.skipOp("("):
			e = &call{t.line, e, p.arguments()}
		default:
			return e
		}
	}
}

// filter takes one filter, and with a nil e, as blocks have it, all that follow.
func (p *parser) filter(e expression, inline bool) *filterCall {
	for chain := e == nil; ; {
		if !inline {
			p.expect(operator, "|")
		}
		inline = false
		t := p.expect(name, "")
		f := &filterCall{line: t.line, name: t.val, of: e}
		for p.skipOp(".") {
			f.name += "." + p.expect(name, "").val
		}
		if p.skipOp("(") {
			f.arguments = p.arguments()
		}
		if _, ok := filters[f.name]; !ok && p.soft == 0 {
			fail("no filter named %q", f.name)
		}
		if !chain || !p.op("|") {
			return f
		}
		e = f
	}
}

func (p *parser) test(line int, e expression) expression {
	t := &testCall{line: line, of: e, not: p.skipWord("not")}
	t.name = p.expect(name, "").val
	for p.skipOp(".") {
		t.name += "." + p.expect(name, "").val
	}
	switch c := p.current(); {
	case p.skipOp("("):
		t.arguments = p.arguments()
	case c.kind == name && slices.Contains([]string{"else", "or", "and"}, c.val):
	case c.kind == name && c.val == "is":
		fail("tests cannot be chained with is")
	case c.kind == name || c.kind == text || c.kind == integer || c.kind == float || c.kind == operator && slices.Contains([]string{"(", "[", "{"}, c.val):
		t.pos = []expression{p.postfix(p.primary())}
	}
	if _, ok := tests[t.name]; !ok && p.soft == 0 {
		fail("no test named %q", t.name)
	}
	return t
}
