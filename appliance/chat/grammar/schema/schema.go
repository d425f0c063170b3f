// Package schema turns JSON Schemas (2020-12, and what of draft 7 is still written) into
// grammars that let through just the values which satisfy them. It stands in for a
// compiler from JSON Schema to GBNF: no library on the registries is one, and that within
// llama.cpp passes over keywords without saying which.
//
// The way of a schema: schema.go follows references and combinations to the alternatives
// of each place, keywords.go reads what a schema itself says, shape.go holds one
// alternative and joins two, place.go makes its rules; number.go, pattern.go, format.go
// and enum.go are those of single types. rules.go collects the grammar.
package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/chat/orderedjson"
	"skerry/appliance/infer"
)

// Limits on a schema, far above what people write and low enough that a hostile one
// costs milliseconds.
const (
	maxSchema       = 256 << 10 // bytes
	maxAlternatives = 64        // of one place, once combinations are multiplied out
	maxSteps        = 20_000    // schemas looked at
	maxWork         = 2_000_000 // comparisons of their parts, over all schemas of a request
	maxRules        = 4_000
	maxGrammar      = 1 << 20 // bytes
	maxRepeat       = 2_000   // llama.cpp's own limit of {m,n}
	maxRepeats      = 40_000  // all together: each costs llama.cpp a rule
)

// errNothing says that no value satisfies a schema: fatal at the root, and elsewhere
// what is optional is left out.
var errNothing = errors.New("no value satisfies it")

// compiler turns one document's schemas into rules.
type compiler struct {
	*Rules
	root  any
	param string // of the request
	steps int
	// bestEffort leaves out what a grammar cannot carry.
	bestEffort bool
}

// Follow is the name of the rule of a whole document; param is where that stands in the
// request. With bestEffort what a grammar cannot carry is left out, and where nothing else
// helps all of it: the common rule instead then stands for it. Errors are *infer.Error of
// BadRequest, whose Param is param and a JSON pointer into the document.
func (r *Rules) Follow(raw json.RawMessage, param string, bestEffort bool, instead string) (string, error) {
	if !bestEffort {
		return r.schema(raw, param, false)
	}
	trial := r.clone()
	root, err := trial.schema(raw, param, true)
	r.work = trial.work
	if beyond := (*beyondError)(nil); errors.As(err, &beyond) {
		r.Leave(param)
		return r.Common(instead), nil
	}
	if err == nil {
		*r = *trial
	}
	return root, err
}

// schema is the rule of a whole document.
func (r *Rules) schema(raw json.RawMessage, param string, bestEffort bool) (string, error) {
	if len(raw) == 0 {
		return "", infer.Errorf(infer.BadRequest, param, "the schema is missing")
	}
	c, err := newCompiler(r, raw, param, bestEffort)
	if err != nil {
		return "", err
	}
	root, err := c.place([]node{{c.root, ""}})
	if errors.Is(err, errNothing) {
		return "", c.fail("", "no value satisfies it")
	}
	return root, err
}

func newCompiler(r *Rules, raw json.RawMessage, param string, bestEffort bool) (*compiler, error) {
	c := &compiler{Rules: r, param: param, bestEffort: bestEffort}
	if len(raw) > maxSchema {
		return nil, c.beyond("", "the schema is %d bytes long: %d are the limit", len(raw), maxSchema)
	}
	var err error
	if c.root, err = orderedjson.Decode(raw); err != nil {
		return nil, c.fail("", "the schema is not JSON: %v", err)
	}
	return c, nil
}

// fail makes the error of the keyword or schema at path.
func (c *compiler) fail(path, format string, args ...any) error {
	at := path
	if at == "" {
		at = "/"
	}
	return infer.Errorf(infer.BadRequest, c.param+path, "schema at %s: %s", at, fmt.Sprintf(format, args...))
}

// beyondError is that of a schema which is right, and which no grammar can carry.
type beyondError struct{ said error }

func (e *beyondError) Error() string { return e.said.Error() }

// Unwrap returns the *infer.Error.
func (e *beyondError) Unwrap() error { return e.said }

// beyond makes the error of a schema that is too much for a grammar.
func (c *compiler) beyond(path, format string, args ...any) error {
	return &beyondError{c.fail(path, format, args...)}
}

func (c *compiler) tooLarge(path string) error {
	return c.beyond(path, "the schema is too large: simplify it")
}

// worked is the error of a schema whose parts took too many comparisons.
func (c *compiler) worked(path string) error {
	if c.work > maxWork {
		return c.tooLarge(path)
	}
	return nil
}

// cannot is the error of a keyword that a grammar cannot carry, nil where it is left out.
func (c *compiler) cannot(path, format string, args ...any) error {
	if c.bestEffort {
		c.Leave(c.param + path)
		return nil
	}
	return c.fail(path, format, args...)
}

// expand reads schemas that all have to hold into the alternatives they leave.
func (c *compiler) expand(nodes []node, refs []string) ([]*shape, error) {
	all := []*shape{anything(nodes[0].path)}
	for _, n := range nodes {
		some, err := c.alternatives(n, refs)
		if err != nil {
			return nil, err
		}
		if all, err = c.cross(all, some, n.path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *compiler) tooMany(path string) error {
	return c.beyond(path, "its combinations have more than %d alternatives: simplify it", maxAlternatives)
}

func (c *compiler) cross(a, b []*shape, path string) (all []*shape, err error) {
	if len(a)*len(b) > maxAlternatives {
		return nil, c.tooMany(path)
	}
	for _, x := range a {
		for _, y := range b {
			m, err := c.meet(x, y)
			if err != nil {
				return nil, err
			}
			if m.kinds != 0 {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// alternatives of one schema.
func (c *compiler) alternatives(n node, refs []string) ([]*shape, error) {
	if c.steps++; c.steps > maxSteps {
		return nil, c.tooLarge(n.path)
	}
	c.work += 10 + len(refs)
	if err := c.worked(n.path); err != nil {
		return nil, err
	}
	switch s := n.schema.(type) {
	case bool:
		if s {
			return []*shape{anything(n.path)}, nil
		}
		return nil, nil
	case *orderedjson.Object:
		own, err := c.keywords(s, n.path)
		if err != nil {
			return nil, err
		}
		return c.combinations(s, n.path, []*shape{own}, refs)
	}
	return nil, c.fail(n.path, "a schema is an object, true or false")
}

func (c *compiler) combinations(s *orderedjson.Object, path string, all []*shape, refs []string) ([]*shape, error) {
	if s.Has("$ref") {
		target, err := c.resolve(s.Get("$ref"), path)
		if err != nil {
			return nil, err
		}
		if slices.Contains(refs, target.path) {
			return nil, c.fail(path+"/$ref", "it refers to itself without going deeper")
		}
		some, err := c.alternatives(target, append(slices.Clone(refs), target.path))
		if err != nil {
			return nil, err
		}
		if all, err = c.cross(all, some, path); err != nil {
			return nil, err
		}
	}
	list, err := c.list(s, "allOf", path)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		some, err := c.alternatives(n, refs)
		if err != nil {
			return nil, err
		}
		if all, err = c.cross(all, some, path); err != nil {
			return nil, err
		}
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		list, err := c.list(s, word, path)
		if err != nil {
			return nil, err
		}
		if list == nil {
			continue
		}
		var any []*shape
		for i, n := range list {
			some, err := c.alternatives(n, refs)
			if err != nil {
				return nil, err
			}
			if len(all)*(len(any)+len(some)) > maxAlternatives {
				return nil, c.tooMany(path)
			}
			over := false
			if word == "oneOf" {
				if over, err = c.overlap(any, some, n.path); err != nil {
					return nil, err
				}
			}
			if over {
				err := c.cannot(n.path, "it may hold together with another of oneOf: use anyOf, or tell them apart by a required property with const (alternative %d)", i+1)
				if err != nil {
					return nil, err
				}
			}
			any = append(any, some...)
		}
		if all, err = c.cross(all, any, path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// list is the schemas of allOf, anyOf or oneOf; nil for none.
func (c *compiler) list(s *orderedjson.Object, word, path string) ([]node, error) {
	if !s.Has(word) {
		return nil, nil
	}
	list, ok := s.Get(word).([]any)
	if !ok || len(list) == 0 {
		return nil, c.fail(path+"/"+word, "a list of schemas is wanted")
	}
	return nodesOf(list, path+"/"+word), nil
}

func nodesOf(list []any, path string) (nodes []node) {
	for i, v := range list {
		nodes = append(nodes, node{v, path + "/" + strconv.Itoa(i)})
	}
	return nodes
}

// resolve follows a reference within the document (RFC 6901, as a URI fragment).
func (c *compiler) resolve(ref any, path string) (node, error) {
	text, ok := ref.(string)
	if !ok || text != "#" && !strings.HasPrefix(text, "#/") {
		return node{}, c.beyond(path+"/$ref", "only references within the schema work, as #/$defs/name")
	}
	c.work += len(text) / 8
	n := node{c.root, ""}
	if text == "#" {
		return n, nil
	}
	for _, step := range strings.Split(text[2:], "/") {
		key, ok := unescape(step)
		var next any
		switch v := n.schema.(type) {
		case *orderedjson.Object:
			ok = ok && v.Has(key)
			next = v.Get(key)
		case []any:
			i, err := strconv.Atoi(key)
			if ok = ok && err == nil && i >= 0 && i < len(v); ok {
				next = v[i]
			}
		default:
			ok = false
		}
		if !ok {
			return node{}, c.fail(path+"/$ref", "there is no %s", text)
		}
		n = node{next, n.path + "/" + escape(key)}
	}
	return n, nil
}
