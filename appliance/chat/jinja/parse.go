package jinja

import (
	"slices"
	"strings"
)

// Template is a parsed template. It may be rendered by several goroutines.
type Template struct {
	body []statement
}

// Parse reads a template. The error is an *Error, with the line.
func Parse(source string) (t *Template, err error) {
	if len(source) > maxSource {
		return nil, &Error{Line: 1, Message: "the template is longer than 262 kB"}
	}
	p := &parser{}
	defer func() {
		if e := recover(); e != nil {
			t, err = nil, caught(e, p.line())
		}
	}()
	p.tokens = lex(source)
	body := p.statements()
	if p.current().kind == blockBegin {
		p.next()
		fail("unexpected %q", p.current().val)
	}
	return &Template{body: body}, nil
}

type parser struct {
	tokens []token
	pos    int
	depth  int
	loops  int        // that break and continue may end
	soft   int        // ifs around, in which an unknown filter or test is one only when it is reached
	macros []*mention // macros around, the innermost last
}

// mention is which of its special variables a macro names.
type mention struct{ caller, varargs, kwargs bool }

func (p *parser) current() token {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return token{kind: end, line: 1}
}

func (p *parser) line() int { return max(1, p.current().line) }

func (p *parser) look() token {
	if p.pos+1 < len(p.tokens) {
		return p.tokens[p.pos+1]
	}
	return token{kind: end}
}

func (p *parser) next() token {
	t := p.current()
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	return t
}

func (p *parser) is(k kind, val string) bool {
	t := p.current()
	return t.kind == k && t.val == val
}

func (p *parser) op(val string) bool   { return p.is(operator, val) }
func (p *parser) word(val string) bool { return p.is(name, val) }

func (p *parser) skip(k kind, val string) bool {
	if p.is(k, val) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipOp(val string) bool   { return p.skip(operator, val) }
func (p *parser) skipWord(val string) bool { return p.skip(name, val) }

func (p *parser) expect(k kind, val string) token {
	t := p.current()
	if t.kind != k || val != "" && t.val != val {
		want := val
		if want == "" {
			want = map[kind]string{blockEnd: "%}", outputEnd: "}}", name: "a name"}[k]
		}
		fail("expected %s, got %s", want, t.shown())
	}
	return p.next()
}

func (t token) shown() string {
	switch t.kind {
	case end:
		return "the end of the template"
	case blockEnd:
		return "%}"
	case outputEnd:
		return "}}"
	case text:
		return "a text in quotes"
	}
	return t.val
}

// deeper guards the stack: call what it returns when done.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxParse {
		fail("it is nested more than %d deep", maxParse)
	}
	return func() { p.depth-- }
}

// statements up to a block that begins with one of ends, whose name is then current; or
// up to the end or a block that is not known here.
func (p *parser) statements(ends ...string) (body []statement) {
	defer p.deeper()()
	for {
		switch t := p.current(); t.kind {
		case data:
			p.next()
			body = append(body, &verbatim{t.val})
		case outputBegin:
			p.next()
			body = append(body, &output{p.tuple(true), t.line})
			p.expect(outputEnd, "")
		case blockBegin:
			word := p.look()
			if word.kind == name && slices.Contains(ends, word.val) {
				p.next()
				return body
			}
			if len(ends) == 0 && strings.HasPrefix(word.val, "end") {
				return body
			}
			p.next()
			body = append(body, p.statement()...)
		default:
			if len(ends) > 0 {
				fail("%s is missing", strings.Join(ends, " or "))
			}
			return body
		}
	}
}

// body of a block up to its end, which is taken.
func (p *parser) body(ends string) []statement {
	p.expect(blockEnd, "")
	body := p.statements(ends)
	p.next()
	p.expect(blockEnd, "")
	return body
}

func (p *parser) statement() []statement {
	t := p.expect(name, "")
	switch t.val {
	case "if":
		return []statement{p.ifStatement(t.line)}
	case "for":
		return []statement{p.forStatement(t.line)}
	case "set":
		return []statement{p.set(t.line)}
	case "macro":
		return []statement{p.macro(t.line)}
	case "call":
		return []statement{p.callBlock(t.line)}
	case "filter":
		with := p.filter(nil, true)
		return []statement{&filterStatement{t.line, with, p.body("endfilter")}}
	case "with":
		return []statement{p.with(t.line)}
	case "print":
		return p.print(t.line)
	case "generation":
		loops := p.loops
		p.loops = 0
		body := p.body("endgeneration")
		p.loops = loops
		return []statement{&scoped{body}}
	case "block":
		return []statement{p.block()}
	case "break", "continue":
		if p.loops == 0 {
			fail("%s outside of a loop", t.val)
		}
		p.expect(blockEnd, "")
		return []statement{&jump{map[string]signal{"break": breaks, "continue": continues}[t.val]}}
	case "include", "import", "from", "extends":
		fail("%s: a chat template reaches no other file", t.val)
	}
	fail("unknown block %q", t.val)
	return nil
}

func (p *parser) ifStatement(line int) statement {
	s := &ifStatement{line: line}
	p.soft++
	defer func() { p.soft-- }()
	for {
		s.tests = append(s.tests, p.tuple(false))
		p.expect(blockEnd, "")
		s.bodies = append(s.bodies, p.statements("elif", "else", "endif"))
		switch p.next().val {
		case "elif":
			continue
		case "else":
			s.otherwise = p.body("endif")
			return s
		}
		p.expect(blockEnd, "")
		return s
	}
}

func (p *parser) forStatement(line int) statement {
	s := &forStatement{line: line, into: p.target(false, "in")}
	p.expect(name, "in")
	s.over = p.tuple(false, "recursive")
	if p.skipWord("if") {
		s.test = p.expression()
	}
	s.recursive = p.skipWord("recursive")
	p.expect(blockEnd, "")
	p.loops++
	s.body = p.statements("endfor", "else")
	p.loops--
	if p.next().val == "else" {
		s.otherwise = p.body("endfor")
		return s
	}
	p.expect(blockEnd, "")
	return s
}

func (p *parser) set(line int) statement {
	into := p.target(true)
	if p.skipOp("=") {
		value := p.tuple(true)
		p.expect(blockEnd, "")
		return &setStatement{line, into, value}
	}
	var with *filterCall
	if p.op("|") {
		with = p.filter(nil, false)
	}
	return &setBlock{line, into, with, p.body("endset")}
}

// target of set and for: a name, names in a tuple, for set also a namespace's attribute.
func (p *parser) target(attributes bool, ends ...string) target {
	var parts []target
	for {
		parts = append(parts, p.oneTarget(attributes))
		if !p.skipOp(",") {
			if len(parts) == 1 {
				return parts[0]
			}
			return &tupleTarget{parts}
		}
		if t := p.current(); t.kind == blockEnd || t.kind == operator && (t.val == "=" || t.val == ")") || t.kind == name && slices.Contains(ends, t.val) {
			return &tupleTarget{parts}
		}
	}
}

func (p *parser) oneTarget(attributes bool) target {
	defer p.deeper()()
	if p.skipOp("(") {
		t := p.target(attributes)
		p.expect(operator, ")")
		return t
	}
	t := p.expect(name, "")
	if attributes && p.skipOp(".") {
		return &attrTarget{t.val, p.expect(name, "").val}
	}
	p.nameable(t.val)
	return &nameTarget{t.val}
}

// nameable refuses names that stand for constants.
func (p *parser) nameable(s string) {
	switch s {
	case "true", "false", "none", "True", "False", "None":
		fail("%s cannot be assigned to", s)
	}
}

func (p *parser) macro(line int) statement {
	m := &macroStatement{line: line}
	m.name = p.expect(name, "").val
	p.nameable(m.name)
	p.expect(operator, "(")
	p.definition(&m.macroDefinition, "endmacro")
	return m
}

// definition of a macro from behind the parenthesis of its parameters.
func (p *parser) definition(m *macroDefinition, ends string) {
	named, loops := &mention{}, p.loops
	p.macros, p.loops = append(p.macros, named), 0
	p.params(m)
	m.body = p.body(ends)
	p.macros, p.loops = p.macros[:len(p.macros)-1], loops
	m.caller, m.varargs, m.kwargs = named.caller, named.varargs, named.kwargs
}

func (p *parser) params(m *macroDefinition) {
	for !p.skipOp(")") {
		if len(m.params) > 0 {
			p.expect(operator, ",")
		}
		param := p.expect(name, "").val
		p.nameable(param)
		m.params = append(m.params, param)
		if p.skipOp("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			fail("a parameter without a default follows one with")
		}
	}
}

func (p *parser) callBlock(line int) statement {
	s := &callStatement{line: line, caller: macroDefinition{name: "caller"}}
	if p.skipOp("(") {
		p.params(&s.caller)
	}
	c, ok := p.expression().(*call)
	if !ok {
		fail("call needs a call")
	}
	s.call = c
	named, loops := &mention{}, p.loops
	p.macros, p.loops = append(p.macros, named), 0
	s.caller.body = p.body("endcall")
	p.macros, p.loops = p.macros[:len(p.macros)-1], loops
	s.caller.caller, s.caller.varargs, s.caller.kwargs = named.caller, named.varargs, named.kwargs
	return s
}

func (p *parser) with(line int) statement {
	s := &withStatement{line: line}
	for p.current().kind != blockEnd {
		if len(s.into) > 0 {
			p.expect(operator, ",")
		}
		s.into = append(s.into, p.oneTarget(false))
		p.expect(operator, "=")
		s.values = append(s.values, p.expression())
	}
	s.body = p.body("endwith")
	return s
}

func (p *parser) print(line int) (all []statement) {
	for p.current().kind != blockEnd {
		if len(all) > 0 {
			p.expect(operator, ",")
		}
		all = append(all, &output{p.expression(), line})
	}
	p.next()
	return all
}

// block of a name: without other files it is only a part of the template.
func (p *parser) block() statement {
	p.expect(name, "")
	p.skipWord("scoped")
	p.skipWord("required")
	p.expect(blockEnd, "")
	body := p.statements("endblock")
	p.next()
	if p.current().kind == name {
		p.next()
	}
	p.expect(blockEnd, "")
	return &scoped{body}
}
