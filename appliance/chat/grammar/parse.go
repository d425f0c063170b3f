package grammar

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxTimes is the greatest count of a repetition, as llama.cpp has it.
const maxTimes = 2000

// expr is what a text has to be: a literal, one rune out of ranges, a text of a rule,
// a sequence, one of several, or a repetition.
type expr struct {
	op     byte // one of the following
	text   string
	ranges [][2]rune
	rule   int32
	sub    []expr
	low    int
	high   int // -1: no end
}

const (
	literal = iota
	class
	reference
	sequence
	either
	repeat
)

// ruleText is a rule as it was written; undefined until body is there.
type ruleText struct {
	name    string
	body    expr
	defined bool
}

// parser reads GBNF. Its first error ends it.
type parser struct {
	src    string
	at     int
	rules  []ruleText
	byName map[string]int32
	depth  int
}

// parse returns the rules of a grammar, root the first.
func parse(src string) ([]ruleText, error) {
	if !utf8.ValidString(src) {
		return nil, fmt.Errorf("the grammar is no UTF-8")
	}
	p := &parser{src: src, byName: map[string]int32{}}
	p.named("root")
	for p.space(true); p.at < len(p.src); p.space(true) {
		if err := p.definition(); err != nil {
			return nil, fmt.Errorf("grammar, line %d: %w", 1+strings.Count(p.src[:min(p.at, len(p.src))], "\n"), err)
		}
	}
	for _, r := range p.rules {
		if !r.defined {
			return nil, fmt.Errorf("the grammar has no rule %s", r.name)
		}
	}
	return p.rules, nil
}

// named is the number of a rule, which may be defined later.
func (p *parser) named(name string) int32 {
	if i, ok := p.byName[name]; ok {
		return i
	}
	i := int32(len(p.rules))
	p.byName[name] = i
	p.rules = append(p.rules, ruleText{name: name})
	return i
}

func (p *parser) definition() error {
	name := p.name()
	if name == "" {
		return fmt.Errorf("a rule's name is wanted at %s", p.here())
	}
	p.space(false)
	if !strings.HasPrefix(p.src[p.at:], "::=") {
		return fmt.Errorf("::= is wanted behind %s, at %s", name, p.here())
	}
	p.at += len("::=")
	p.space(true)
	body, err := p.alternatives(false)
	if err != nil {
		return err
	}
	if p.at < len(p.src) && p.src[p.at] != '\n' && p.src[p.at] != '\r' {
		return fmt.Errorf("the end of the line is wanted at %s", p.here())
	}
	i := p.named(name)
	p.rules[i].body, p.rules[i].defined = body, true // the last one counts, as in llama.cpp
	return nil
}

// here shows where the reader is.
func (p *parser) here() string {
	rest := p.src[p.at:]
	if rest == "" {
		return "the end"
	}
	if len(rest) > 20 {
		rest = strings.ToValidUTF8(rest[:20], "")
	}
	return strconv.Quote(rest)
}

// space passes blanks and comments over, and with lines also ends of lines.
func (p *parser) space(lines bool) {
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == '#':
			for p.at < len(p.src) && p.src[p.at] != '\n' && p.src[p.at] != '\r' {
				p.at++
			}
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			p.at++
		default:
			return
		}
	}
}

func (p *parser) name() string {
	from := p.at
	for p.at < len(p.src) {
		c := p.src[p.at]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			break
		}
		p.at++
	}
	return p.src[from:p.at]
}

// alternatives are sequences between bars; within a group they may span lines.
func (p *parser) alternatives(grouped bool) (expr, error) {
	if p.depth++; p.depth > maxNested {
		return expr{}, fmt.Errorf("groups are nested deeper than %d", maxNested)
	}
	defer func() { p.depth-- }()
	var all []expr
	for {
		e, err := p.sequence(grouped)
		if err != nil {
			return expr{}, err
		}
		all = append(all, e)
		if p.at == len(p.src) || p.src[p.at] != '|' {
			break
		}
		p.at++
		p.space(true)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return expr{op: either, sub: all}, nil
}

func (p *parser) sequence(grouped bool) (expr, error) {
	var all []expr
	for p.at < len(p.src) {
		e, ok, err := p.item()
		if err != nil {
			return expr{}, err
		}
		if !ok {
			break
		}
		p.space(grouped)
		if e, err = p.repetitions(e, grouped); err != nil {
			return expr{}, err
		}
		all = append(all, e)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return expr{op: sequence, sub: all}, nil
}

// item is what repetitions may follow; ok is false where none begins.
func (p *parser) item() (e expr, ok bool, err error) {
	switch c := p.src[p.at]; c {
	case '"':
		e, err = p.literal()
	case '[':
		e, err = p.class()
	case '.':
		p.at++
		e = expr{op: class, ranges: [][2]rune{{0, utf8.MaxRune}}}
	case '(':
		p.at++
		p.space(true)
		if e, err = p.alternatives(true); err != nil {
			return e, false, err
		}
		if p.at == len(p.src) || p.src[p.at] != ')' {
			return e, false, fmt.Errorf("a ) is wanted at %s", p.here())
		}
		p.at++
	default:
		name := p.name()
		if name == "" {
			return e, false, nil
		}
		e = expr{op: reference, rule: p.named(name)}
	}
	return e, true, err
}

func (p *parser) literal() (expr, error) {
	var b strings.Builder
	for p.at++; p.at < len(p.src); {
		if p.src[p.at] == '"' {
			p.at++
			return expr{op: literal, text: b.String()}, nil
		}
		r, err := p.char()
		if err != nil {
			return expr{}, err
		}
		b.WriteRune(r)
	}
	return expr{}, fmt.Errorf("a text does not end")
}

func (p *parser) class() (expr, error) {
	p.at++
	negated := strings.HasPrefix(p.src[p.at:], "^")
	if negated {
		p.at++
	}
	var ranges [][2]rune
	for p.at < len(p.src) {
		if p.src[p.at] == ']' {
			p.at++
			if negated {
				ranges = complement(ranges)
			}
			return expr{op: class, ranges: ranges}, nil
		}
		from, err := p.char()
		if err != nil {
			return expr{}, err
		}
		to := from
		if strings.HasPrefix(p.src[p.at:], "-") && !strings.HasPrefix(p.src[p.at:], "-]") {
			p.at++
			if p.at == len(p.src) {
				break
			}
			if to, err = p.char(); err != nil {
				return expr{}, err
			}
		}
		ranges = append(ranges, [2]rune{from, to})
	}
	return expr{}, fmt.Errorf("a class does not end")
}

// escaped are the characters behind a backslash that stand for others; quotes, brackets
// and the backslash stand for themselves.
var escaped = map[byte]rune{'n': '\n', 'r': '\r', 't': '\t', '"': '"', '\\': '\\', '[': '[', ']': ']', '-': '-', '^': '^'}

// char reads one character of a text or class.
func (p *parser) char() (rune, error) {
	r, n := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += n
	if r != '\\' {
		return r, nil
	}
	if p.at == len(p.src) {
		return 0, fmt.Errorf("a backslash is the last character")
	}
	c := p.src[p.at]
	if r, ok := escaped[c]; ok {
		p.at++
		return r, nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits == 0 || p.at+1+digits > len(p.src) {
		return 0, fmt.Errorf(`there is no escape \%c`, c)
	}
	v, err := strconv.ParseUint(p.src[p.at+1:p.at+1+digits], 16, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, fmt.Errorf(`\%s is no character`, p.src[p.at:p.at+1+digits])
	}
	p.at += 1 + digits
	return rune(v), nil
}

// repetitions are what follows an item: *, +, ? and {m}, {m,}, {m,n}.
func (p *parser) repetitions(e expr, grouped bool) (expr, error) {
	for n := 0; p.at < len(p.src); n++ {
		low, high := 0, -1
		switch p.src[p.at] {
		case '*':
		case '+':
			low = 1
		case '?':
			high = 1
		case '{':
			end := strings.IndexByte(p.src[p.at:], '}')
			if end < 0 {
				return e, fmt.Errorf("a } is wanted at %s", p.here())
			}
			var err error
			if low, high, err = times(p.src[p.at+1 : p.at+end]); err != nil {
				return e, err
			}
			p.at += end
		default:
			return e, nil
		}
		if n == maxNested {
			return e, fmt.Errorf("repetitions are nested deeper than %d", maxNested)
		}
		p.at++
		p.space(grouped)
		e = expr{op: repeat, sub: []expr{e}, low: low, high: high}
	}
	return e, nil
}

// times reads the counts between braces.
func times(text string) (low, high int, err error) {
	from, to, two := strings.Cut(text, ",")
	low, err = strconv.Atoi(strings.TrimSpace(from))
	high = low
	if two && err == nil {
		if high = -1; strings.TrimSpace(to) != "" {
			high, err = strconv.Atoi(strings.TrimSpace(to))
		}
	}
	if err != nil || low < 0 || high >= 0 && high < low {
		return 0, 0, fmt.Errorf("{%s} is no count of repetitions", text)
	}
	if max(low, high) > maxTimes {
		return 0, 0, fmt.Errorf("{%s} is more than %d repetitions", text, maxTimes)
	}
	return low, high, nil
}
