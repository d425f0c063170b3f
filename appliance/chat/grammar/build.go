package grammar

import "fmt"

// builder makes a Grammar's automata out of its rules (Thompson 1968, CACM 11(6)). Each
// part of a rule leads from one state to another; jumps lead on without a byte.
type builder struct {
	rules  []ruleText
	g      *Grammar
	ranges [][]span
	jumps  [][]int32
	calls  [][]call
	rule   int32 // whose automaton is made
	items  []expr
}

// build makes the automata.
func build(rules []ruleText) (*Grammar, error) {
	b := &builder{rules: rules, g: &Grammar{rules: make([]rule, len(rules))}}
	b.markNullable()
	for i := 0; i < len(b.rules); i++ { // repeated items become rules on the way
		if err := b.automaton(int32(i)); err != nil {
			return nil, err
		}
	}
	b.flatten()
	b.classes()
	return b.g, nil
}

func (b *builder) automaton(i int32) error {
	b.rule = i
	from, to := b.state(), b.state()
	b.g.states[to].final = true
	b.g.rules[i].start = from
	return b.between(b.rules[i].body, from, to)
}

func (b *builder) state() int32 {
	b.g.states = append(b.g.states, state{rule: b.rule})
	b.ranges, b.jumps, b.calls = append(b.ranges, nil), append(b.jumps, nil), append(b.calls, nil)
	return int32(len(b.g.states) - 1)
}

// check bounds the automata.
func (b *builder) check() error {
	if len(b.g.states) > maxStates {
		return fmt.Errorf("%w: it has more than %d states", ErrLarge, maxStates)
	}
	return nil
}

// between has e lead from one state to another. Nothing else may lead to from, or on
// from to, on the way, unless both are one.
func (b *builder) between(e expr, from, to int32) error {
	if err := b.check(); err != nil {
		return err
	}
	switch e.op {
	case literal:
		b.literal(e.text, from, to)
	case class:
		for _, r := range e.ranges {
			bytesOf(r[0], r[1], func(seq [][2]byte) { b.bytes(seq, from, to) })
		}
	case reference:
		b.calls[from] = append(b.calls[from], call{e.rule, to})
	case sequence:
		return b.sequence(e.sub, from, to)
	case either:
		for _, s := range e.sub {
			if err := b.between(s, from, to); err != nil {
				return err
			}
		}
	case repeat:
		return b.repeat(e, from, to)
	}
	return nil
}

func (b *builder) literal(text string, from, to int32) {
	if text == "" {
		b.jump(from, to)
		return
	}
	seq := make([][2]byte, len(text))
	for i := range seq {
		seq[i] = [2]byte{text[i], text[i]}
	}
	b.bytes(seq, from, to)
}

func (b *builder) jump(from, to int32) {
	if from != to {
		b.jumps[from] = append(b.jumps[from], to)
	}
}

func (b *builder) bytes(seq [][2]byte, from, to int32) {
	for i, r := range seq {
		next := to
		if i < len(seq)-1 {
			next = b.state()
		}
		b.ranges[from] = append(b.ranges[from], span{r[0], r[1], next})
		from = next
	}
}

func (b *builder) sequence(sub []expr, from, to int32) error {
	if len(sub) == 0 {
		b.jump(from, to)
	}
	for i, s := range sub {
		next := to
		if i < len(sub)-1 {
			next = b.state()
		}
		if err := b.between(s, from, next); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// repeat lays the items one behind the other. What is repeated more than once becomes a
// rule, unless it is but a step, so that counts within counts do not multiply.
func (b *builder) repeat(e expr, from, to int32) error {
	item := e.sub[0]
	if (e.low > 1 || e.high > 1) && !item.small() {
		item = b.asRule(item)
	}
	for range e.low {
		next := b.state()
		if err := b.between(item, from, next); err != nil {
			return err
		}
		from = next
	}
	if e.high < 0 {
		loop := b.state()
		b.jump(from, loop)
		b.jump(loop, to)
		return b.between(item, loop, loop)
	}
	for range e.high - e.low {
		b.jump(from, to)
		next := b.state()
		if err := b.between(item, from, next); err != nil {
			return err
		}
		from = next
	}
	b.jump(from, to)
	return nil
}

// small reports whether e takes hardly more than a step.
func (e expr) small() bool {
	switch e.op {
	case reference:
		return true
	case literal:
		return len(e.text) <= 1
	case class:
		for _, r := range e.ranges {
			if r[1] > 0x7f {
				return false
			}
		}
		return true
	}
	return false
}

func (b *builder) asRule(e expr) expr {
	i := int32(len(b.rules))
	b.rules = append(b.rules, ruleText{name: "item", body: e, defined: true})
	b.g.rules = append(b.g.rules, rule{nullable: b.nullable(e)})
	return expr{op: reference, rule: i}
}

// markNullable finds the rules that the empty text is of, looking again at those that
// use a rule once it is found.
func (b *builder) markNullable() {
	users := make([][]int32, len(b.rules))
	for i, r := range b.rules {
		r.body.each(func(used int32) { users[used] = append(users[used], int32(i)) })
	}
	var again []int32
	look := func(i int32) {
		if !b.g.rules[i].nullable && b.nullable(b.rules[i].body) {
			b.g.rules[i].nullable = true
			again = append(again, users[i]...)
		}
	}
	for i := range b.rules {
		look(int32(i))
	}
	for len(again) > 0 {
		i := again[len(again)-1]
		again = again[:len(again)-1]
		look(i)
	}
}

// each calls f for every reference in e.
func (e expr) each(f func(rule int32)) {
	if e.op == reference {
		f(e.rule)
	}
	for _, s := range e.sub {
		s.each(f)
	}
}

// nullable reports whether the empty text is of e, by what is known of the rules.
func (b *builder) nullable(e expr) bool {
	switch e.op {
	case literal:
		return e.text == ""
	case reference:
		return b.g.rules[e.rule].nullable
	case repeat:
		return e.low == 0 || b.nullable(e.sub[0])
	case sequence:
		for _, s := range e.sub {
			if !b.nullable(s) {
				return false
			}
		}
		return true
	case either:
		for _, s := range e.sub {
			if b.nullable(s) {
				return true
			}
		}
	}
	return false
}

// flatten lays what leads on from the states into the grammar's slices.
func (b *builder) flatten() {
	g := b.g
	for i := range g.states {
		s := &g.states[i]
		s.ranges.from, s.jumps.from, s.calls.from = int32(len(g.ranges)), int32(len(g.jumps)), int32(len(g.calls))
		g.ranges, g.jumps, g.calls = append(g.ranges, b.ranges[i]...), append(g.jumps, b.jumps[i]...), append(g.calls, b.calls[i]...)
		s.ranges.to, s.jumps.to, s.calls.to = int32(len(g.ranges)), int32(len(g.jumps)), int32(len(g.calls))
	}
}

// classes numbers the bytes so that those no range tells apart have one number.
func (b *builder) classes() {
	var begins [257]bool
	for _, r := range b.g.ranges {
		begins[r.lo], begins[int(r.hi)+1] = true, true
	}
	n := 0
	for c := range 256 {
		if begins[c] && c > 0 {
			n++
		}
		b.g.class[c] = uint8(n)
	}
	b.g.sorts = n + 1
}
