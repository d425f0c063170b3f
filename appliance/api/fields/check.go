package fields

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"skerry/appliance/infer"
)

// mostIgnored fields are told of one request.
const mostIgnored = 32

// Check looks at every field of a request's body, which has to be valid JSON. It returns
// those that have no effect, or an *infer.Error of BadRequest for one that is refused, and
// with strict for one that is unknown.
func (t *Table) Check(body []byte, strict bool) ([]infer.Ignored, error) {
	c := &checker{Table: t, strict: strict}
	c.object("", body)
	return c.ignored, c.err
}

type checker struct {
	*Table
	strict  bool
	ignored []infer.Ignored
	err     error
}

func (c *checker) object(path string, raw json.RawMessage) {
	var members map[string]json.RawMessage
	if c.err != nil || json.Unmarshal(raw, &members) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if c.err != nil {
			return
		}
		c.member(path, name, members[name])
	}
}

func (c *checker) member(parent, name string, raw json.RawMessage) {
	f := c.find(parent, name)
	if f == nil {
		c.unknown(join(parent, name))
		return
	}
	switch {
	case f.Treatment != Done && !f.says(raw):
	case f.Treatment == Refused && f.Checked:
	case f.Treatment == Refused:
		c.err = infer.Errorf(infer.BadRequest, f.Name, "%s is not supported here: %s", f.Name, f.Why)
	case f.Treatment == Harmless:
		c.ignore(infer.Ignored{Field: f.Name, Why: f.Why})
	case c.below[f.Name] != nil:
		c.object(f.Name, raw)
	case c.below[f.Name+"[]"] != nil:
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			for _, one := range list {
				c.object(f.Name+"[]", one)
			}
		}
	}
}

// find a member by its name, in any case: so package json reads it.
func (t *Table) find(parent, name string) *Field {
	for _, f := range t.below[parent] {
		if leaf := Leaf(f.Name); leaf == name || strings.EqualFold(leaf, name) {
			return f
		}
	}
	return nil
}

func join(parent, name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// unknown looks for what was meant only where that is told: a body may have very many fields
// that there are not.
func (c *checker) unknown(path string) {
	if !c.strict && (len(c.ignored) >= mostIgnored || slices.ContainsFunc(c.ignored, func(i infer.Ignored) bool { return i.Field == path })) {
		return
	}
	one := infer.Ignored{Field: path, Why: "it is no field of this request", Suggestion: c.Suggest(path)}
	if !c.strict {
		c.ignore(one)
		return
	}
	hint := "leave it out, or send the request without strict"
	if one.Suggestion != "" {
		hint = fmt.Sprintf("did you mean %s?", one.Suggestion)
	}
	c.err = infer.Errorf(infer.BadRequest, path, "%s is no field of this request: %s", path, hint)
}

// ignore tells of a field once, however many elements of a list have it.
func (c *checker) ignore(one infer.Ignored) {
	if len(c.ignored) < mostIgnored && !slices.Contains(c.ignored, one) {
		c.ignored = append(c.ignored, one)
	}
}

// says whether a value asks for anything but what there is without the field.
func (f *Field) says(raw json.RawMessage) bool {
	return Given(raw) && !slices.ContainsFunc(f.Off, func(off string) bool { return same(off, string(raw)) })
}

// Given says whether a field of any type is there and says something.
func Given(raw json.RawMessage) bool {
	if len(raw) < 64 { // there may be space within
		raw = bytes.Join(bytes.Fields(raw), nil)
	}
	switch string(raw) {
	case "", "null", "{}", "[]", `""`, "false":
		return false
	}
	return true
}

// same says whether two texts are one JSON value, as numbers by their value.
func same(a, b string) bool {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA == nil && errB == nil {
		return x == y
	}
	var compact bytes.Buffer
	return a == b || len(b) < 256 && json.Compact(&compact, []byte(b)) == nil && compact.String() == a
}
