package grammar

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// set is where a parse may be after some text: every rule that has begun, how far it
// is, and in which set it began. It does not change, and two that hold the same are one.
type set struct {
	id     uint32
	steps  []item    // that a byte leads on from
	waits  []waiting // for a rule to end, by its number
	accept bool      // the text is whole
	next   []*set    // by class of bytes, nil where it is not known; a cache
	kept   bool      // it counts in Matcher.kept
}

// item is a rule that has begun in the set origin and has come to a state; nil is the
// set that holds the item.
type item struct {
	state  int32
	origin *set
}

// waiting is an item that goes on at state to once rule has ended.
type waiting struct {
	rule, to int32
	origin   *set
}

// The sets that are none.
var (
	dead   = &set{}           // no text goes on from it
	bottom = &set{id: rootID} // where the root begins
)

// Ids of no set's own: of the set that holds an item, and of bottom.
const (
	ownID uint32 = iota
	rootID
)

// Limits on the work of a Matcher, in items looked at; one takes some tens of ns. A
// token of an ordinary schema takes some hundreds at first, and none where the parse has
// been before.
const (
	mostCredit  = 2_000_000 // what there is at first, for one token at most
	tokenCredit = 100_000   // what each token adds
	mostItems   = 200_000   // of one set
	mostKept    = 2_000_000 // of the sets that an answer has come through: 24 bytes each
	mostCached  = 24 << 20  // bytes of sets kept to be found again
	checkEvery  = 4096      // items between two looks at whether to go on
)

// ErrWork says that the grammar is too costly to go on with.
var ErrWork = errors.New("the grammar takes too much work here: simplify it, above all parts that may be empty or repeat others that repeat")

// closer completes a set out of the items that a byte has led to.
type closer struct {
	m     *Matcher
	known map[[2]uint32]struct{} // by state and id of the origin
	todo  []item
	keys  [][2]uint32 // of the items that tell the set from others
	set   *set
}

// add notes an item once.
func (c *closer) add(it item) {
	k := [2]uint32{uint32(it.state), ownID}
	if it.origin != nil {
		k[1] = it.origin.id
	}
	if _, ok := c.known[k]; ok {
		return
	}
	c.known[k] = struct{}{}
	c.todo = append(c.todo, it)
	c.m.spend(1)
}

// close returns the set of the items and all that follows from them, dead where no text
// goes on and none ends.
func (m *Matcher) close(kernel []item) *set {
	c := &m.closer
	if len(c.known) < 1024 { // emptying a map takes as long as it has ever been large
		clear(c.known)
	} else {
		c.known = map[[2]uint32]struct{}{}
	}
	c.todo, c.keys, c.set = c.todo[:0], c.keys[:0], &set{}
	for _, it := range kernel {
		c.add(it)
	}
	for len(c.todo) > 0 && m.err == nil {
		it := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		c.follow(it)
		if len(c.known) > mostItems {
			m.err = ErrWork
		}
	}
	if m.err != nil || len(c.set.steps) == 0 && !c.set.accept {
		return dead
	}
	return m.intern(c)
}

// follow adds what an item leads to without a byte.
func (c *closer) follow(it item) {
	g := c.m.g
	s := &g.states[it.state]
	for _, to := range g.jumps[s.jumps.from:s.jumps.to] {
		c.add(item{to, it.origin})
	}
	for _, k := range g.calls[s.calls.from:s.calls.to] {
		c.set.waits = append(c.set.waits, waiting{k.rule, k.to, it.origin})
		c.add(item{g.rules[k.rule].start, nil})
		if g.rules[k.rule].nullable { // Aycock and Horspool 2002, Practical Earley Parsing
			c.add(item{k.to, it.origin})
		}
	}
	if s.ranges.from < s.ranges.to {
		c.set.steps = append(c.set.steps, it)
	}
	if it.origin != nil && (s.ranges.from < s.ranges.to || s.calls.from < s.calls.to) {
		c.keys = append(c.keys, [2]uint32{uint32(it.state), it.origin.id})
	}
	if s.final {
		c.ended(s.rule, it.origin)
	}
}

// ended has those go on that waited, where a rule began, for its end. A rule that ends
// where it began is empty, which follow knows.
func (c *closer) ended(rule int32, origin *set) {
	switch origin {
	case nil:
		return
	case bottom:
		c.set.accept = true
		return
	}
	from, _ := slices.BinarySearchFunc(origin.waits, rule, func(w waiting, r int32) int { return cmp.Compare(w.rule, r) })
	for _, w := range origin.waits[from:] {
		if w.rule != rule {
			break
		}
		c.m.spend(1)
		to := item{w.to, w.origin}
		if to.origin == nil {
			to.origin = origin
		}
		c.add(to)
	}
}

// intern returns the one set of this content.
func (m *Matcher) intern(c *closer) *set {
	slices.SortFunc(c.keys, func(a, b [2]uint32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	m.key = m.key[:0]
	if c.set.accept {
		m.key = append(m.key, 1)
	}
	for _, k := range c.keys {
		m.key = binary.LittleEndian.AppendUint32(m.key, k[0])
		m.key = binary.LittleEndian.AppendUint32(m.key, k[1])
	}
	if s := m.sets[string(m.key)]; s != nil {
		return s
	}
	s := c.set
	slices.SortFunc(s.waits, func(a, b waiting) int { return cmp.Compare(a.rule, b.rule) })
	m.lastID++
	s.id = m.lastID
	m.sets[string(m.key)] = s
	m.cache(len(m.key) + 24*(len(s.steps)+len(s.waits)) + 200)
	return s
}
