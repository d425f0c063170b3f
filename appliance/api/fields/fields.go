// Package fields is the table of what a request may say: every field of OpenAI's and
// Ollama's requests, and of the extensions of llama.cpp and vLLM that clients send, with
// what becomes of it. A field is done, refused by its name, or harmless; one that is in no
// table is unknown. None is dropped in silence.
package fields

import (
	"slices"
	"strings"
)

// Treatment is what becomes of a field.
type Treatment string

// The treatments.
const (
	Done     Treatment = "done"     // it has the effect that its API says
	Refused  Treatment = "refused"  // it would have one that this server cannot give: a 400
	Harmless Treatment = "harmless" // the answer is the same without it: the reply says so
)

// Field of a request.
type Field struct {
	// Name is the path to it: "options.num_ctx", "messages[].role".
	Name      string
	Treatment Treatment
	// Why is a half-sentence: of a refused field what to do instead, of a harmless one why
	// it changes nothing.
	Why string
	// Example is a value in JSON that has an effect, or is refused, or is harmless; With
	// has the other members of the request, in JSON without braces, that it needs.
	Example, With string
	// Off are values in JSON that ask for what there is without the field.
	Off []string
	// Checked says that who reads the request refuses the field, in words of its own.
	Checked bool
}

// Table has the fields of one kind of request.
type Table struct {
	// Schema is the request's name in the OpenAPI document, Path where it is sent.
	Schema, Path string
	Fields       []Field
	below        map[string][]*Field // by the path of the object that holds them
}

// Tables are all of them, in the order of the document.
var Tables []*Table

func table(schema, path string, parts ...[]Field) *Table {
	t := &Table{Schema: schema, Path: path, Fields: slices.Concat(parts...), below: map[string][]*Field{}}
	for i := range t.Fields {
		parent, _ := split(t.Fields[i].Name)
		t.below[parent] = append(t.below[parent], &t.Fields[i])
	}
	Tables = append(Tables, t)
	return t
}

// split a path into that of the object and the name within it.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], path[i+1:]
}

// Leaf is the last name of a path.
func Leaf(path string) string {
	_, name := split(path)
	return name
}

// Count of fields by treatment.
func (t *Table) Count() map[Treatment]int {
	n := map[Treatment]int{}
	for _, f := range t.Fields {
		n[f.Treatment]++
	}
	return n
}

// below puts fields into an object at a path.
func below(path string, all []Field) []Field {
	all = slices.Clone(all)
	for i := range all {
		all[i].Name = path + "." + all[i].Name
	}
	return all
}

// done are fields by name and example.
func done(pairs ...string) (all []Field) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, Field{Name: pairs[i], Treatment: Done, Example: pairs[i+1]})
	}
	return all
}

// refused are fields that are refused for one reason, by name and example.
func refused(why string, pairs ...string) []Field {
	all := done(pairs...)
	for i := range all {
		all[i].Treatment, all[i].Why = Refused, why
	}
	return all
}

// harmless are fields that change nothing for one reason, by name and example.
func harmless(why string, pairs ...string) []Field {
	all := refused(why, pairs...)
	for i := range all {
		all[i].Treatment = Harmless
	}
	return all
}

// unless is refused for fields that are not refused at some values.
func unless(off []string, all []Field) []Field {
	for i := range all {
		all[i].Off = off
	}
	return all
}

// with is for fields that need others.
func with(others string, all []Field) []Field {
	for i := range all {
		all[i].With = others
	}
	return all
}

// checked is refused for fields that who reads the request refuses.
func checked(pairs ...string) []Field {
	all := refused("", pairs...)
	for i := range all {
		all[i].Checked = true
	}
	return all
}
