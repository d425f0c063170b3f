package schema

import (
	"errors"
	"math"
	"slices"
	"strings"

	"skerry/appliance/chat/orderedjson"
)

// place is the rule for a place at which all of the schemas hold. Places met again,
// by recursion or otherwise, share one.
func (c *compiler) place(nodes []node) (string, error) {
	if len(nodes) == 0 {
		return c.Common("value"), nil
	}
	nodes = slices.Clone(nodes)
	var b strings.Builder
	for i, n := range nodes {
		var err error
		if nodes[i], err = c.target(n); err != nil {
			return "", err
		}
		b.WriteString(c.param + "#" + nodes[i].path + "\x00")
	}
	key := b.String()
	switch name := c.byKey[key]; name {
	case "":
	case "-":
		return "", errNothing
	default:
		return name, nil
	}
	if err := c.check(); err != nil {
		return "", c.beyond(nodes[0].path, "%v", err)
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
	c.define(name, Either(bodies))
	return name, nil
}

// target follows a schema that is but a reference, so that what is referred to is
// compiled once.
func (c *compiler) target(n node) (node, error) {
	for range orderedjson.MaxDepth {
		s, ok := n.schema.(*orderedjson.Object)
		if !ok || len(s.Keys) != 1 || !s.Has("$ref") {
			return n, nil
		}
		next, err := c.resolve(s.Get("$ref"), n.path)
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
		return []string{c.Common("value")}, nil
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
	return len(s.props) == 0 && len(s.required) == 0 && s.extra == nil && !s.closed && !s.listed &&
		len(s.prefix) == 0 && s.items == nil && s.minItems == 0 && s.maxItems == math.MaxInt &&
		s.minLength == 0 && s.maxLength == math.MaxInt && s.pattern == "" && s.format == "" &&
		math.IsInf(s.low.at, -1) && math.IsInf(s.high.at, 1)
}

// object is the properties in the order of the schema, then others where they are
// allowed. Where the schema lists some and does not speak of others there are none.
func (c *compiler) object(s *shape) (string, error) {
	ws := c.Common("ws")
	if len(s.props) == 0 && len(s.required) == 0 && s.extra == nil && !s.closed && !s.listed {
		return c.Common("object"), nil
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
			key, err := c.keyBut(names(s))
			if err != nil {
				return "", c.beyond(s.path, "%v", err)
			}
			more = c.Rule(key + " " + ws + ` ":" ` + ws + " " + value + " " + ws)
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
			first, rest = member, c.Rule(after)
			continue
		}
		first, rest = c.optional(member, first), c.optional(after, rest)
	}
	return strings.Join(strings.Fields(`"{" `+ws+" "+first+` "}"`), " "), c.small(s)
}

// optional is what there may be, or else what follows without it.
func (c *compiler) optional(body, without string) string {
	if without == "" {
		return c.Rule("(" + body + ")?")
	}
	return c.Rule(body + " | " + without)
}

func (c *compiler) small(s *shape) error {
	if err := c.check(); err != nil {
		return c.beyond(s.path, "%v", err)
	}
	return nil
}

type member struct {
	member   string
	required bool
}

// properties that may be there. Required ones the schema does not describe come last.
func (c *compiler) properties(s *shape) (all []member, err error) {
	ws := c.Common("ws")
	for _, name := range names(s, &shape{props: propertiesOf(s.required)}) {
		required := s.requires(name)
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
		all = append(all, member{Quote(orderedjson.Quote(name)) + " " + ws + ` ":" ` + ws + " " + value + " " + ws, required})
	}
	return all, nil
}

func propertiesOf(names []string) (all []property) {
	for _, name := range names {
		all = append(all, property{name: name})
	}
	return all
}

// keyBut is a key that is none of the names; written without escapes, or it might be
// one of them after all.
func (c *compiler) keyBut(names []string) (string, error) {
	plain := c.Common("plain")
	if len(names) == 0 {
		return c.Common("string"), nil
	}
	all := 0
	for _, n := range names {
		if all += len(n); len(n) > maxKey || all > maxKeys {
			return "", errTooLarge
		}
	}
	return c.Rule(`"\"" ` + c.noneOf(names, plain) + ` "\""`), nil
}

// A rule stands for each beginning of a name.
const (
	maxKey  = 1_000 // bytes
	maxKeys = 16 * maxRules
)

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
		bodies = append(bodies, Quote(string(r))+" "+c.noneOf(next[r], plain))
	}
	bodies = append(bodies, "[^"+class+"] "+plain+"*")
	if !ends {
		return c.Rule("(" + Either(bodies) + ")?")
	}
	return c.Rule(Either(bodies))
}

// array is prefixItems, then items.
func (c *compiler) array(s *shape) (string, error) {
	ws := c.Common("ws")
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
		body = c.Rule(strings.TrimSpace(comma + item + " " + body))
		if i >= low {
			body = body + "?"
		}
	}
	return strings.Join(strings.Fields(`"[" `+ws+" "+body+` "]"`), " "), c.small(s)
}

// tail is low to high of an item; whether commas come before all or between.
func (c *compiler) tail(item string, low, high int, endless, first bool) string {
	next := c.Rule(`"," ` + c.Common("ws") + " " + item)
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
	body := c.Rule(strings.TrimSpace(item + " " + count(max(low-1, 0), high-1)))
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
		if err := c.cannot(s.path, "pattern, format and lengths cannot be combined: choose one"); err != nil {
			return "", err
		}
	}
	switch {
	case s.pattern != "":
		body, err := c.pattern(s.pattern)
		if errors.Is(err, errTooLarge) {
			return "", c.beyond(s.path+"/pattern", "%v", err)
		}
		if err == nil {
			return `"\"" ` + body + ` "\""`, c.small(s)
		}
		if err := c.cannot(s.path+"/pattern", "%v", err); err != nil {
			return "", err
		}
		plain := *s
		plain.pattern = ""
		return c.text(&plain)
	case s.format != "":
		return `"\"" ` + formats[s.format] + ` "\""`, nil
	case s.maxLength == math.MaxInt && s.minLength == 0:
		return c.Common("string"), nil
	case s.maxLength == math.MaxInt:
		char := c.Common("char")
		return `"\"" ` + c.times(char, s.minLength, s.minLength) + " " + char + `* "\""`, nil
	case s.maxLength == 0:
		return `"\"\""`, nil
	}
	return `"\"" ` + c.times(c.Common("char"), s.minLength, s.maxLength) + ` "\""`, c.small(s)
}
