package schema

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"skerry/appliance/chat/orderedjson"
)

// unsupported keywords restrict what a schema allows, so that they cannot be passed
// over.
var unsupported = []string{
	"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies",
	"patternProperties", "propertyNames", "minProperties", "maxProperties", "contains",
	"minContains", "maxContains", "uniqueItems", "unevaluatedItems", "unevaluatedProperties",
	"multipleOf", "$dynamicRef", "$recursiveRef", "divisibleBy", "extends", "disallow",
}

// keywords reads what a schema itself says.
func (c *compiler) keywords(s *orderedjson.Object, path string) (*shape, error) {
	for _, word := range unsupported {
		v := s.Get(word)
		harmless := v == false && word == "uniqueItems" || orderedjson.Equal(v, json.Number("0")) && word == "minProperties" || v == true && strings.HasPrefix(word, "unevaluated")
		if !s.Has(word) || harmless {
			continue
		}
		if err := c.cannot(path+"/"+word, "the keyword %s is not supported: leave it out", word); err != nil {
			return nil, err
		}
	}
	if path != "" && s.Has("$id") {
		return nil, c.beyond(path+"/$id", "the keyword $id is supported at the root only")
	}
	r := keywordReader{c: c, s: s, path: path, shape: anything(path)}
	r.types()
	r.enums()
	r.strings()
	r.numbers()
	r.arrays()
	r.objects()
	c.work += len(r.shape.props) + len(r.shape.required) + len(r.shape.enum) + len(r.shape.prefix)
	return r.shape, r.err
}

// keywordReader keeps the first error.
type keywordReader struct {
	c     *compiler
	s     *orderedjson.Object
	path  string
	shape *shape
	err   error
}

func (r *keywordReader) fail(word, format string, args ...any) {
	if r.err == nil {
		r.err = r.c.fail(r.path+"/"+word, format, args...)
	}
}

// cannot keeps the error of a keyword that no grammar can carry.
func (r *keywordReader) cannot(word, format string, args ...any) {
	if err := r.c.cannot(r.path+"/"+word, format, args...); r.err == nil {
		r.err = err
	}
}

func (r *keywordReader) types() {
	switch t := r.s.Get("type").(type) {
	case nil:
		if !r.s.Has("type") {
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
	if r.s.Get("nullable") == true {
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
		if slices.ContainsFunc(strings.Fields(w.words), r.s.Has) {
			return w.kinds
		}
	}
	return kindAny
}

func (r *keywordReader) enums() {
	if r.s.Has("const") {
		r.shape.enum = []any{r.s.Get("const")}
	}
	if !r.s.Has("enum") {
		return
	}
	list, ok := r.s.Get("enum").([]any)
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
	} else if !slices.ContainsFunc(list, func(v any) bool { return orderedjson.Equal(v, r.shape.enum[0]) }) {
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
		r.shape.format = ""
		r.c.Leave(r.c.param + r.path + "/format")
	}
	if r.shape.minLength > maxRepeat {
		r.cannot("minLength", "more than %d is not supported", maxRepeat)
		r.shape.minLength = maxRepeat
	}
}

func (r *keywordReader) text(word string) string {
	s, ok := r.s.Get(word).(string)
	if !ok && r.s.Has(word) {
		r.fail(word, "a string is wanted")
	}
	return s
}

// count reads a size; llama.cpp has no greater repetitions than maxRepeat.
func (r *keywordReader) count(word string, none int) int {
	if !r.s.Has(word) {
		return none
	}
	v, ok := r.s.Get(word).(json.Number)
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
		if !r.s.Has(w) {
			continue
		}
		v, ok := r.s.Get(w).(json.Number)
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
		r.cannot("minItems", "more than %d is not supported", maxRepeat)
		r.shape.minItems = maxRepeat
	}
	tuple, rest := "prefixItems", "items"
	if _, ok := r.s.Get("items").([]any); ok { // before draft 2020-12
		tuple, rest = "items", "additionalItems"
	}
	if r.s.Has(tuple) {
		list, ok := r.s.Get(tuple).([]any)
		if !ok || len(list) > maxRepeat {
			r.fail(tuple, "a list of at most %d schemas is wanted", maxRepeat)
		}
		for _, n := range nodesOf(list, r.path+"/"+tuple) {
			r.shape.prefix = append(r.shape.prefix, []node{n})
		}
	}
	if r.s.Has(rest) {
		r.shape.items = []node{{r.s.Get(rest), r.path + "/" + rest}}
	}
}

func (r *keywordReader) objects() {
	if r.s.Has("properties") {
		props, ok := r.s.Get("properties").(*orderedjson.Object)
		if !ok {
			r.fail("properties", "an object of schemas is wanted")
			return
		}
		r.shape.listed = true
		for _, k := range props.Keys {
			r.shape.props = append(r.shape.props, property{k, []node{{props.Get(k), r.path + "/properties/" + escape(k)}}})
		}
	}
	if r.s.Has("required") {
		list, ok := r.s.Get("required").([]any)
		for _, v := range list {
			name, isText := v.(string)
			ok = ok && isText
			r.shape.required = append(r.shape.required, name)
		}
		if !ok {
			r.fail("required", "a list of names is wanted")
		}
	}
	switch extra := r.s.Get("additionalProperties"); {
	case extra == false:
		r.shape.closed = true
	case r.s.Has("additionalProperties"):
		r.shape.extra = []node{{extra, r.path + "/additionalProperties"}}
	}
}
