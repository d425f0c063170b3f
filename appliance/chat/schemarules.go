package chat

import (
	"errors"
	"math"
	"slices"
	"strings"
)

// place is the rule for a place at which all of the schemas hold. Places met again,
// by recursion or otherwise, share one.
func (c *compiler) place(nodes []node) (string, error) {
	if len(nodes) == 0 {
		return c.common("value"), nil
	}
	nodes = slices.Clone(nodes)
	key := ""
	for i, n := range nodes {
		var err error
		if nodes[i], err = c.target(n); err != nil {
			return "", err
		}
		key += c.param + "#" + nodes[i].path + "\x00"
	}
	switch name := c.byKey[key]; name {
	case "":
	case "-":
		return "", errNothing
	default:
		return name, nil
	}
	if err := c.check(); err != nil {
		return "", c.fail(nodes[0].path, "%v", err)
	}
	shapes, err := c.expand(nodes, nil)
	if err != nil {
		return "", err
	}
	name := c.name()
	c.byKey[key] = name
	var bodies []string
	for _, s := range shapes {
		some, err := c.bodies(s)
		if err != nil {
			return "", err
		}
		bodies = append(bodies, some...)
	}
	if len(bodies) == 0 {
		c.byKey[key] = "-"
		return "", errNothing
	}
	c.define(name, either(bodies))
	return name, nil
}

// target follows a schema that is but a reference, so that what is referred to is
// compiled once.
func (c *compiler) target(n node) (node, error) {
	for range maxDepth {
		s, ok := n.schema.(*object)
		if !ok || len(s.keys) != 1 || !s.has("$ref") {
			return n, nil
		}
		next, err := c.resolve(s.get("$ref"), n.path)
		if err != nil {
			return n, err
		}
		n = next
	}
	return n, c.fail(n.path+"/$ref", "it refers to itself without going deeper")
}

// bodies are the alternatives of a shape; none where nothing satisfies it.
func (c *compiler) bodies(s *shape) ([]string, error) {
	if s.enum != nil {
		return c.enum(s)
	}
	if s.kinds == kindAny && s.free() {
		return []string{c.common("value")}, nil
	}
	var all []string
	add := func(body string, err error) error {
		if errors.Is(err, errNothing) {
			return nil
		}
		if err == nil {
			all = append(all, body)
		}
		return err
	}
	for _, k := range []struct {
		kinds kinds
		body  func(*shape) (string, error)
	}{
		{kindObject, c.object}, {kindArray, c.array}, {kindString, c.text},
		{kindNumber, c.numbers},
		{kindBool, func(*shape) (string, error) { return `"true" | "false"`, nil }},
		{kindNull, func(*shape) (string, error) { return `"null"`, nil }},
	} {
		if s.kinds&k.kinds == 0 {
			continue
		}
		if err := add(k.body(s)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// free reports whether a shape demands nothing but its types.
func (s *shape) free() bool {
	return len(s.props) == 0 && len(s.required) == 0 && s.extra == nil && !s.closed &&
		len(s.prefix) == 0 && s.items == nil && s.minItems == 0 && s.maxItems == math.MaxInt &&
		s.minLength == 0 && s.maxLength == math.MaxInt && s.pattern == "" && s.format == "" &&
		math.IsInf(s.low.at, -1) && math.IsInf(s.high.at, 1)
}

// object is the properties in the order of the schema, then others where they are
// allowed. Where the schema lists some and does not speak of others there are none.
func (c *compiler) object(s *shape) (string, error) {
	ws := c.common("ws")
	if len(s.props) == 0 && len(s.required) == 0 && s.extra == nil && !s.closed {
		return c.common("object"), nil
	}
	props, err := c.properties(s)
	if err != nil {
		return "", err
	}
	more := ""
	if s.extra != nil {
		value, err := c.place(s.extra)
		switch {
		case errors.Is(err, errNothing):
		case err != nil:
			return "", err
		default:
			more = c.rule(c.keyBut(names(s)) + " " + ws + ` ":" ` + ws + " " + value + " " + ws)
		}
	}
	// first goes on with nothing said yet, rest behind a member.
	first, rest := "", ""
	if more != "" {
		rest = `("," ` + ws + " " + more + ")*"
		first = "(" + more + " " + rest + ")?"
	}
	for _, p := range slices.Backward(props) {
		member := p.member + " " + rest
		after := `"," ` + ws + " " + member
		if p.required {
			first, rest = member, c.rule(after)
			continue
		}
		first, rest = c.optional(member, first), c.optional(after, rest)
	}
	return strings.Join(strings.Fields(`"{" `+ws+" "+first+` "}"`), " "), c.small(s)
}

// optional is what there may be, or else what follows without it.
func (c *compiler) optional(body, without string) string {
	if without == "" {
		return c.rule("(" + body + ")?")
	}
	return c.rule(body + " | " + without)
}

func (c *compiler) small(s *shape) error {
	if err := c.check(); err != nil {
		return c.fail(s.path, "%v", err)
	}
	return nil
}

type member struct {
	member   string
	required bool
}

// properties that may be there. Required ones the schema does not describe come last.
func (c *compiler) properties(s *shape) (all []member, err error) {
	ws := c.common("ws")
	list := names(s)
	for _, name := range s.required {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	for _, name := range list {
		required := slices.Contains(s.required, name)
		schemas, allowed := s.property(name)
		if !allowed {
			return nil, errNothing // required and forbidden
		}
		value, err := c.place(schemas)
		if errors.Is(err, errNothing) && !required {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, member{quote(quoteJSON(name)) + " " + ws + ` ":" ` + ws + " " + value + " " + ws, required})
	}
	return all, nil
}

// keyBut is a key that is none of the names; written without escapes, or it might be
// one of them after all.
func (c *compiler) keyBut(names []string) string {
	plain := c.common("plain")
	if len(names) == 0 {
		return c.common("string")
	}
	return c.rule(`"\"" ` + c.noneOf(names, plain) + ` "\""`)
}

// noneOf walks the trie of the names.
func (c *compiler) noneOf(names []string, plain string) string {
	next := map[rune][]string{}
	var order []rune
	ends := false
	for _, n := range names {
		if n == "" {
			ends = true
			continue
		}
		r := []rune(n)
		if next[r[0]] == nil {
			order = append(order, r[0])
		}
		next[r[0]] = append(next[r[0]], string(r[1:]))
	}
	var bodies []string
	class := `"\\\x7F\x00-\x1F`
	for _, r := range order {
		if r < 0x20 || r == '"' || r == '\\' || r == 0x7f {
			continue // never written without an escape
		}
		class += classRune(r)
		bodies = append(bodies, quote(string(r))+" "+c.noneOf(next[r], plain))
	}
	bodies = append(bodies, "[^"+class+"] "+plain+"*")
	if !ends {
		return c.rule("(" + either(bodies) + ")?")
	}
	return c.rule(either(bodies))
}

// array is prefixItems, then items.
func (c *compiler) array(s *shape) (string, error) {
	ws := c.common("ws")
	low, high := s.minItems, min(s.maxItems, maxRepeat)
	if s.maxItems == math.MaxInt {
		high = -1
	}
	var items []string
	for _, nodes := range s.prefix {
		if high >= 0 && len(items) == high {
			break
		}
		item, err := c.place(nodes)
		if errors.Is(err, errNothing) {
			high = len(items)
			break
		}
		if err != nil {
			return "", err
		}
		items = append(items, item+" "+ws)
	}
	more := ""
	if high < 0 || high > len(items) {
		item, err := c.place(s.items)
		switch {
		case errors.Is(err, errNothing):
			high = len(items)
		case err != nil:
			return "", err
		default:
			more = item + " " + ws
		}
	}
	if high >= 0 && low > high {
		return "", errNothing
	}
	// From the end: what follows item i, where it is there.
	body := ""
	if more != "" {
		body = c.tail(more, max(low-len(items), 0), high-len(items), high < 0, len(items) == 0)
	}
	for i, item := range slices.Backward(items) {
		comma := ""
		if i > 0 {
			comma = `"," ` + ws + " "
		}
		body = c.rule(strings.TrimSpace(comma + item + " " + body))
		if i >= low {
			body = body + "?"
		}
	}
	return strings.Join(strings.Fields(`"[" `+ws+" "+body+` "]"`), " "), c.small(s)
}

// tail is low to high of an item; whether commas come before all or between.
func (c *compiler) tail(item string, low, high int, endless, first bool) string {
	next := c.rule(`"," ` + c.common("ws") + " " + item)
	count := func(low, high int) string {
		if !endless {
			return c.times(next, low, high)
		}
		if low == 0 {
			return next + "*"
		}
		c.repeats += low
		return c.times(next, low, low) + " " + next + "*"
	}
	if !first {
		return count(low, high)
	}
	body := c.rule(strings.TrimSpace(item + " " + count(max(low-1, 0), high-1)))
	if low == 0 {
		body += "?"
	}
	return body
}

// text is a string. Lengths of more than maxRepeat end there.
func (c *compiler) text(s *shape) (string, error) {
	sized := s.minLength > 0 || s.maxLength != math.MaxInt
	switch {
	case s.minLength > s.maxLength:
		return "", errNothing
	case s.pattern != "" && (sized || s.format != ""), s.format != "" && sized:
		return "", c.fail(s.path, "pattern, format and lengths cannot be combined: choose one")
	case s.pattern != "":
		body, err := c.pattern(s.pattern)
		if err != nil {
			return "", c.fail(s.path+"/pattern", "%v", err)
		}
		return `"\"" ` + body + ` "\""`, c.small(s)
	case s.format != "":
		return `"\"" ` + formats[s.format] + ` "\""`, nil
	case s.maxLength == math.MaxInt && s.minLength == 0:
		return c.common("string"), nil
	case s.maxLength == math.MaxInt:
		char := c.common("char")
		return `"\"" ` + c.times(char, s.minLength, s.minLength) + " " + char + `* "\""`, nil
	case s.maxLength == 0:
		return `"\"\""`, nil
	}
	return `"\"" ` + c.times(c.common("char"), s.minLength, s.maxLength) + ` "\""`, c.small(s)
}
