package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/answer"
)

// Limits on a schema, far above what people write and low enough that a hostile one
// costs milliseconds.
const (
	maxSchema       = 256 << 10 // bytes
	maxAlternatives = 64        // of one place, once combinations are multiplied out
	maxSteps        = 20_000    // schemas looked at
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
	*rules
	root  any
	param string // of the request
	steps int
}

func newCompiler(r *rules, raw json.RawMessage, param string) (*compiler, error) {
	c := &compiler{rules: r, param: param}
	if len(raw) > maxSchema {
		return nil, c.fail("", "the schema is %d bytes long: %d are the limit", len(raw), maxSchema)
	}
	var err error
	if c.root, err = decodeJSON(raw); err != nil {
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
	return answer.Errorf(answer.BadRequest, c.param+path, "schema at %s: %s", at, fmt.Sprintf(format, args...))
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

func (c *compiler) cross(a, b []*shape, path string) (all []*shape, err error) {
	if len(a)*len(b) > maxAlternatives {
		return nil, c.fail(path, "its combinations have more than %d alternatives: simplify it", maxAlternatives)
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
		return nil, c.fail(n.path, "the schema is too large: simplify it")
	}
	switch s := n.schema.(type) {
	case bool:
		if s {
			return []*shape{anything(n.path)}, nil
		}
		return nil, nil
	case *object:
		own, err := c.keywords(s, n.path)
		if err != nil {
			return nil, err
		}
		return c.combinations(s, n.path, []*shape{own}, refs)
	}
	return nil, c.fail(n.path, "a schema is an object, true or false")
}

func (c *compiler) combinations(s *object, path string, all []*shape, refs []string) ([]*shape, error) {
	if s.has("$ref") {
		target, err := c.resolve(s.get("$ref"), path)
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
			if word == "oneOf" && overlap(any, some) {
				return nil, c.fail(n.path, "it may hold together with another of oneOf: use anyOf, or tell them apart by a required property with const (alternative %d)", i+1)
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
func (c *compiler) list(s *object, word, path string) ([]node, error) {
	if !s.has(word) {
		return nil, nil
	}
	list, ok := s.get(word).([]any)
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
		return node{}, c.fail(path+"/$ref", "only references within the schema work, as #/$defs/name")
	}
	n := node{c.root, ""}
	if text == "#" {
		return n, nil
	}
	for _, step := range strings.Split(text[2:], "/") {
		key, ok := unescape(step)
		var next any
		switch v := n.schema.(type) {
		case *object:
			ok = ok && v.has(key)
			next = v.get(key)
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

// unsupported keywords restrict what a schema allows, so that they cannot be passed
// over.
var unsupported = []string{
	"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies",
	"patternProperties", "propertyNames", "minProperties", "maxProperties", "contains",
	"minContains", "maxContains", "uniqueItems", "unevaluatedItems", "unevaluatedProperties",
	"multipleOf", "$dynamicRef", "$recursiveRef", "divisibleBy", "extends", "disallow",
}

// keywords reads what a schema itself says.
func (c *compiler) keywords(s *object, path string) (*shape, error) {
	for _, word := range unsupported {
		v := s.get(word)
		harmless := v == false && word == "uniqueItems" || v == json.Number("0") && word == "minProperties" || v == true && strings.HasPrefix(word, "unevaluated")
		if s.has(word) && !harmless {
			return nil, c.fail(path+"/"+word, "the keyword %s is not supported: leave it out", word)
		}
	}
	if path != "" && s.has("$id") {
		return nil, c.fail(path+"/$id", "the keyword $id is supported at the root only")
	}
	r := keywordReader{c: c, s: s, path: path, shape: anything(path)}
	r.types()
	r.enums()
	r.strings()
	r.numbers()
	r.arrays()
	r.objects()
	return r.shape, r.err
}

// keywordReader keeps the first error.
type keywordReader struct {
	c     *compiler
	s     *object
	path  string
	shape *shape
	err   error
}

func (r *keywordReader) fail(word, format string, args ...any) {
	if r.err == nil {
		r.err = r.c.fail(r.path+"/"+word, format, args...)
	}
}

func (r *keywordReader) types() {
	switch t := r.s.get("type").(type) {
	case nil:
		if !r.s.has("type") {
			r.shape.kinds = r.implied()
			break
		}
		r.fail("type", "it is null: write \"null\"")
	case string:
		r.shape.kinds = r.kind(t)
	case []any:
		r.shape.kinds = 0
		for _, x := range t {
			name, _ := x.(string)
			r.shape.kinds |= r.kind(name)
		}
	default:
		r.fail("type", "a name or a list of names is wanted")
	}
	if r.s.get("nullable") == true {
		r.shape.kinds |= kindNull
	}
}

func (r *keywordReader) kind(name string) kinds {
	k, ok := kindNames[name]
	if !ok {
		r.fail("type", "there is no type %q", name)
	}
	return k
}

// implied is the type meant where none is given: properties are said of objects.
func (r *keywordReader) implied() kinds {
	for _, w := range []struct {
		words string
		kinds kinds
	}{
		{"properties required additionalProperties", kindObject},
		{"items prefixItems minItems maxItems", kindArray},
		{"pattern minLength maxLength format", kindString},
		{"minimum maximum exclusiveMinimum exclusiveMaximum", kindNumber},
	} {
		if slices.ContainsFunc(strings.Fields(w.words), r.s.has) {
			return w.kinds
		}
	}
	return kindAny
}

func (r *keywordReader) enums() {
	if r.s.has("const") {
		r.shape.enum = []any{r.s.get("const")}
	}
	if !r.s.has("enum") {
		return
	}
	list, ok := r.s.get("enum").([]any)
	if !ok {
		r.fail("enum", "a list of values is wanted")
		return
	}
	if len(list) > maxRules {
		r.fail("enum", "%d values are too many", len(list))
		return
	}
	if r.shape.enum == nil {
		r.shape.enum = list
	} else if !slices.ContainsFunc(list, func(v any) bool { return sameJSON(v, r.shape.enum[0]) }) {
		r.shape.enum = []any{}
	}
}

func (r *keywordReader) strings() {
	r.shape.minLength = r.count("minLength", 0)
	r.shape.maxLength = r.count("maxLength", math.MaxInt)
	r.shape.pattern = r.text("pattern")
	r.shape.format = r.text("format")
	if f := r.shape.format; slices.Contains(noFormats, f) {
		r.shape.format = ""
	} else if _, ok := formats[f]; !ok && f != "" {
		r.fail("format", "the format %q is not supported: leave it out", f)
	}
	if r.shape.minLength > maxRepeat {
		r.fail("minLength", "more than %d is not supported", maxRepeat)
	}
}

func (r *keywordReader) text(word string) string {
	s, ok := r.s.get(word).(string)
	if !ok && r.s.has(word) {
		r.fail(word, "a string is wanted")
	}
	return s
}

// count reads a size; llama.cpp has no greater repetitions than maxRepeat.
func (r *keywordReader) count(word string, none int) int {
	if !r.s.has(word) {
		return none
	}
	v, ok := r.s.get(word).(json.Number)
	f, err := v.Float64()
	if !ok || err != nil || f < 0 || f != math.Trunc(f) {
		r.fail(word, "a whole number from 0 is wanted")
		return none
	}
	return int(min(f, math.MaxInt32))
}

func (r *keywordReader) numbers() {
	r.shape.low = r.bound("minimum", "exclusiveMinimum", r.shape.low, 1)
	r.shape.high = r.bound("maximum", "exclusiveMaximum", r.shape.high, -1)
}

// bound is the tighter of two keywords; sign is 1 for lower bounds.
func (r *keywordReader) bound(word, exclusive string, b bound, sign float64) bound {
	for _, w := range []string{word, exclusive} {
		if !r.s.has(w) {
			continue
		}
		v, ok := r.s.get(w).(json.Number)
		f, err := v.Float64()
		if !ok || err != nil {
			r.fail(w, "a number is wanted")
			return b
		}
		if f*sign > b.at*sign || f == b.at && w == exclusive {
			b = bound{f, w == exclusive}
		}
	}
	return b
}

func (r *keywordReader) arrays() {
	r.shape.minItems = r.count("minItems", 0)
	r.shape.maxItems = r.count("maxItems", math.MaxInt)
	if r.shape.minItems > maxRepeat {
		r.fail("minItems", "more than %d is not supported", maxRepeat)
	}
	tuple, rest := "prefixItems", "items"
	if _, ok := r.s.get("items").([]any); ok { // before draft 2020-12
		tuple, rest = "items", "additionalItems"
	}
	if r.s.has(tuple) {
		list, ok := r.s.get(tuple).([]any)
		if !ok || len(list) > maxRepeat {
			r.fail(tuple, "a list of at most %d schemas is wanted", maxRepeat)
		}
		for _, n := range nodesOf(list, r.path+"/"+tuple) {
			r.shape.prefix = append(r.shape.prefix, []node{n})
		}
	}
	if r.s.has(rest) {
		r.shape.items = []node{{r.s.get(rest), r.path + "/" + rest}}
	}
}

func (r *keywordReader) objects() {
	if r.s.has("properties") {
		props, ok := r.s.get("properties").(*object)
		if !ok {
			r.fail("properties", "an object of schemas is wanted")
			return
		}
		for _, k := range props.keys {
			r.shape.props = append(r.shape.props, property{k, []node{{props.get(k), r.path + "/properties/" + escape(k)}}})
		}
	}
	if r.s.has("required") {
		list, ok := r.s.get("required").([]any)
		for _, v := range list {
			name, isText := v.(string)
			ok = ok && isText
			r.shape.required = append(r.shape.required, name)
		}
		if !ok {
			r.fail("required", "a list of names is wanted")
		}
	}
	switch extra := r.s.get("additionalProperties"); {
	case extra == false:
		r.shape.closed = true
	case r.s.has("additionalProperties"):
		r.shape.extra = []node{{extra, r.path + "/additionalProperties"}}
	}
}
