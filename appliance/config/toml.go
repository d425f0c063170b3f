package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// toml takes the settings of one document. go-toml's own strict decoding stops at
// the first value of a wrong type; walking its syntax tree finds every problem, and
// the place of each.
func (l *loader) toml(file string, data []byte) {
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil { // syntax, keys given twice
		p := Problem{Source: file, Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		if e := (*toml.DecodeError)(nil); errors.As(err, &e) {
			p.Line, p.Column = e.Position()
		}
		l.problems = append(l.problems, p)
		return
	}
	d := document{loader: l, file: file}
	d.parser.Reset(data)
	var table string
	for d.parser.NextExpression() {
		switch e := d.parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			key, at := d.key(e, "")
			table = key + "."
			_, known := tables[key]
			if d.skip = !known || e.Kind == unstable.ArrayTable; !known {
				d.wrong(at, "unknown table %s%s", show(key), didYouMean(key))
			} else if d.skip {
				d.wrong(at, "[[%s]] is a list: write [%s]", key, key)
			}
		case unstable.KeyValue:
			if !d.skip {
				d.value(e, table)
			}
		}
	}
}

// document is a file as it is walked.
type document struct {
	*loader
	file   string
	parser unstable.Parser
	skip   bool // within a table that is no table of ours: its keys are not looked at
}

func (d *document) wrong(at unstable.Position, format string, args ...any) {
	d.problems = append(d.problems, Problem{d.file, at.Line, at.Column, fmt.Sprintf(format, args...)})
}

// key of an expression within a table, and where it stands.
func (d *document) key(e *unstable.Node, table string) (key string, at unstable.Position) {
	var parts []string
	for it := e.Key(); it.Next(); {
		if len(parts) == 0 {
			at = d.parser.Shape(it.Node().Raw).Start
		}
		part := string(it.Node().Data)
		if part == "" || strings.ContainsAny(part, ".\"") {
			part = strconv.Quote(part) // "cloud.address" is not cloud.address
		}
		parts = append(parts, part)
	}
	return table + strings.Join(parts, "."), at
}

// value takes one key, or those of an inline table.
func (d *document) value(e *unstable.Node, table string) {
	key, at := d.key(e, table)
	v := e.Value()
	f := find(key)
	_, isTable := tables[key]
	switch {
	case isTable && v.Kind == unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			d.value(it.Node(), key+".")
		}
	case isTable:
		d.wrong(at, "%s is a table: write [%s] and its keys below", key, key)
	case f == nil:
		d.wrong(at, "unknown key %s%s", show(key), didYouMean(key))
	default:
		if err := f.set(&d.config, plain(v)); err != nil {
			d.wrong(at, "%s", err)
			return
		}
		d.from[key] = d.file + ":" + strconv.Itoa(at.Line)
	}
}

// plain is the value of a node: string, int64, float64, bool or a list of them.
// Tables and dates, which no setting is, become something that none accepts.
func plain(n *unstable.Node) any {
	text := strings.ReplaceAll(string(n.Data), "_", "")
	switch n.Kind {
	case unstable.String:
		return string(n.Data)
	case unstable.Bool:
		return text == "true"
	case unstable.Integer:
		if v, err := strconv.ParseInt(text, 0, 64); err == nil {
			return v
		}
	case unstable.Float:
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			return v
		}
	case unstable.Array:
		list := []any{}
		for it := n.Children(); it.Next(); {
			list = append(list, plain(it.Node()))
		}
		return list
	}
	return odd(n.Kind.String())
}

// odd is a value that no setting accepts.
type odd string

func (o odd) String() string { return "a " + string(o) }
