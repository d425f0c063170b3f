package schema

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// bnf is a grammar as llama.cpp reads it, to draw texts from and to match them.
type bnf struct {
	rules map[string]*expr
	cost  map[string]int // of the shortest text of a rule
}

// expr is one of: literal runes, a class, a reference, a sequence, alternatives, a
// repetition.
type expr struct {
	op      byte // l c r s a *
	text    []rune
	negated bool
	ranges  [][2]rune
	name    string
	sub     []*expr
	low, up int // up -1: no end
}

type bnfReader struct {
	src []rune
	at  int
}

func parseGBNF(t testing.TB, src string) *bnf {
	t.Helper()
	g := &bnf{rules: map[string]*expr{}, cost: map[string]int{}}
	for _, line := range strings.Split(strings.TrimRight(src, "\n"), "\n") {
		name, body, ok := strings.Cut(line, " ::= ")
		if !ok || g.rules[name] != nil {
			t.Fatalf("not a rule, or there twice: %q", line)
		}
		r := &bnfReader{src: []rune(body)}
		g.rules[name] = r.alternatives()
		if r.at != len(r.src) {
			t.Fatalf("rule %s: left over %q of %q", name, string(r.src[r.at:]), body)
		}
	}
	const far = 1 << 20
	for name := range g.rules {
		g.cost[name] = far
	}
	for changed := true; changed; {
		changed = false
		for name, e := range g.rules {
			if c := g.least(e); c < g.cost[name] {
				g.cost[name], changed = c, true
			}
		}
	}
	for name, e := range g.rules {
		g.check(t, name, e)
	}
	return g
}

func (g *bnf) check(t testing.TB, name string, e *expr) {
	if e.op == 'r' && g.rules[e.name] == nil {
		t.Fatalf("rule %s refers to %s, which is not there", name, e.name)
	}
	for _, s := range e.sub {
		g.check(t, name, s)
	}
}

// least is how many characters the shortest text has.
func (g *bnf) least(e *expr) int {
	const far = 1 << 20
	switch e.op {
	case 'l':
		return len(e.text)
	case 'c':
		return 1
	case 'r':
		return g.cost[e.name]
	case '*':
		return min(far, e.low*g.least(e.sub[0]))
	}
	n := 0
	for i, s := range e.sub {
		c := g.least(s)
		if e.op == 's' {
			n = min(far, n+c)
		} else if i == 0 || c < n {
			n = c
		}
	}
	return n
}

func (r *bnfReader) peek() rune {
	for r.at < len(r.src) && r.src[r.at] == ' ' {
		r.at++
	}
	if r.at == len(r.src) {
		return 0
	}
	return r.src[r.at]
}

func (r *bnfReader) alternatives() *expr {
	e := &expr{op: 'a', sub: []*expr{r.sequence()}}
	for r.peek() == '|' {
		r.at++
		e.sub = append(e.sub, r.sequence())
	}
	return e
}

func (r *bnfReader) sequence() *expr {
	e := &expr{op: 's'}
	for {
		var item *expr
		switch c := r.peek(); {
		case c == '"':
			r.at++
			item = &expr{op: 'l'}
			for r.src[r.at] != '"' {
				item.text = append(item.text, r.char())
			}
			r.at++
		case c == '[':
			item = r.class()
		case c == '(':
			r.at++
			item = r.alternatives()
			if r.peek() != ')' {
				panic("no )")
			}
			r.at++
		case c >= 'a' && c <= 'z':
			from := r.at
			for r.at < len(r.src) && (r.src[r.at] >= 'a' && r.src[r.at] <= 'z' || r.src[r.at] >= '0' && r.src[r.at] <= '9') {
				r.at++
			}
			item = &expr{op: 'r', name: string(r.src[from:r.at])}
		default:
			return e
		}
		switch r.peek() {
		case '*':
			item = &expr{op: '*', sub: []*expr{item}, up: -1}
			r.at++
		case '+':
			item = &expr{op: '*', sub: []*expr{item}, low: 1, up: -1}
			r.at++
		case '?':
			item = &expr{op: '*', sub: []*expr{item}, up: 1}
			r.at++
		case '{':
			end := r.at
			for r.src[end] != '}' {
				end++
			}
			low, up, two := strings.Cut(string(r.src[r.at+1:end]), ",")
			item = &expr{op: '*', sub: []*expr{item}}
			item.low, _ = strconv.Atoi(low)
			item.up = item.low
			if two {
				item.up, _ = strconv.Atoi(up)
			}
			r.at = end + 1
		}
		e.sub = append(e.sub, item)
	}
}

func (r *bnfReader) class() *expr {
	e := &expr{op: 'c'}
	r.at++
	if r.src[r.at] == '^' {
		e.negated = true
		r.at++
	}
	for r.src[r.at] != ']' {
		from := r.char()
		to := from
		if r.src[r.at] == '-' && r.src[r.at+1] != ']' {
			r.at++
			to = r.char()
		}
		e.ranges = append(e.ranges, [2]rune{from, to})
	}
	r.at++
	return e
}

func (r *bnfReader) char() rune {
	c := r.src[r.at]
	r.at++
	if c != '\\' {
		return c
	}
	c = r.src[r.at]
	r.at++
	switch c {
	case 'n':
		return '\n'
	case 'x':
		v, err := strconv.ParseUint(string(r.src[r.at:r.at+2]), 16, 8)
		if err != nil {
			panic(err)
		}
		r.at += 2
		return rune(v)
	case '"', '\\', '[', ']':
		return c
	}
	panic(fmt.Sprintf("escape %q", c))
}

func (e *expr) holds(c rune) bool {
	for _, r := range e.ranges {
		if c >= r[0] && c <= r[1] {
			return !e.negated
		}
	}
	return e.negated
}

// draw makes a text of the grammar, which turns to the shortest once it is long.
func (g *bnf) draw(r *rand.Rand) string {
	var b strings.Builder
	g.write(&b, g.rules["root"], r)
	return b.String()
}

func (g *bnf) write(b *strings.Builder, e *expr, r *rand.Rand) {
	long := b.Len() > 300
	switch e.op {
	case 'l':
		b.WriteString(string(e.text))
	case 'c':
		b.WriteRune(e.draw(r))
	case 'r':
		g.write(b, g.rules[e.name], r)
	case 's':
		for _, s := range e.sub {
			g.write(b, s, r)
		}
	case 'a':
		pick := e.sub[r.IntN(len(e.sub))]
		if long {
			for _, s := range e.sub {
				if g.least(s) < g.least(pick) {
					pick = s
				}
			}
		}
		g.write(b, pick, r)
	case '*':
		n := e.low
		for !long && (e.up < 0 || n < e.up) && r.IntN(3) > 0 {
			n++
		}
		for range n {
			g.write(b, e.sub[0], r)
		}
	}
}

var someRunes = []rune("aZ09 _-.,:{}[]\"'\\/é€😀\u2028Ω")

func (e *expr) draw(r *rand.Rand) rune {
	if !e.negated {
		span := e.ranges[r.IntN(len(e.ranges))]
		for range 100 {
			if c := span[0] + r.Int32N(span[1]-span[0]+1); utf8.ValidRune(c) {
				return c
			}
		}
		return span[0]
	}
	for {
		if c := someRunes[r.IntN(len(someRunes))]; e.holds(c) {
			return c
		}
	}
}

// matcher finds all ends of a match, so that it needs no order among alternatives.
type matcher struct {
	g    *bnf
	text []rune
	memo map[string]map[int][]int
}

func (g *bnf) matches(text string) bool {
	m := &matcher{g: g, text: []rune(text), memo: map[string]map[int][]int{}}
	for _, end := range m.ends(&expr{op: 'r', name: "root"}, 0) {
		if end == len(m.text) {
			return true
		}
	}
	return false
}

func (m *matcher) ends(e *expr, at int) []int {
	switch e.op {
	case 'l':
		if at+len(e.text) <= len(m.text) && string(m.text[at:at+len(e.text)]) == string(e.text) {
			return []int{at + len(e.text)}
		}
	case 'c':
		if at < len(m.text) && e.holds(m.text[at]) {
			return []int{at + 1}
		}
	case 'r':
		if m.memo[e.name] == nil {
			m.memo[e.name] = map[int][]int{}
		}
		if _, ok := m.memo[e.name][at]; !ok {
			m.memo[e.name][at] = m.ends(m.g.rules[e.name], at)
		}
		return m.memo[e.name][at]
	case 's':
		ends := []int{at}
		for _, s := range e.sub {
			ends = m.step(s, ends)
		}
		return ends
	case 'a':
		all := map[int]bool{}
		for _, s := range e.sub {
			for _, end := range m.ends(s, at) {
				all[end] = true
			}
		}
		return sorted(all)
	case '*':
		all := map[int]bool{}
		ends := []int{at}
		for n := 0; ; n++ {
			if n >= e.low {
				for _, x := range ends {
					all[x] = true
				}
			}
			// Items that may be empty come to all their ends in as many rounds as there are
			// characters.
			if len(ends) == 0 || n == e.up || n >= e.low && n > len(m.text) {
				return sorted(all)
			}
			ends = m.step(e.sub[0], ends)
		}
	}
	return nil
}

func (m *matcher) step(e *expr, from []int) []int {
	all := map[int]bool{}
	for _, x := range from {
		for _, end := range m.ends(e, x) {
			all[end] = true
		}
	}
	return sorted(all)
}

func sorted(set map[int]bool) (all []int) {
	for x := range set {
		all = append(all, x)
	}
	return all
}
