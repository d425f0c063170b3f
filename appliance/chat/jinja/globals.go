package jinja

import (
	"strings"
	"time"
)

// globals are what a template may call without being given it.
var globals map[string]Value

func init() {
	globals = map[string]Value{
		"self":            self{},
		"range":           function{"range", rangeOf},
		"dict":            function{"dict", func(r *run, a args) Value { return r.dict(a) }},
		"namespace":       function{"namespace", func(r *run, a args) Value { return &Namespace{r.dict(a)} }},
		"cycler":          function{"cycler", func(_ *run, a args) Value { return &cycler{items: a.pos} }},
		"joiner":          function{"joiner", joinerOf},
		"raise_exception": function{"raise_exception", raise},
		"strftime_now": function{"strftime_now", func(r *run, a args) Value {
			return Own(strftime(wanted(a.bind("strftime_now", "format")[0]).s, r.now()))
		}},
	}
}

// self has the blocks of a template, of which there are none to call.
type self struct{}

func raise(r *run, a args) Value {
	panic(refused(r.str(a.bind("raise_exception", "message")[0]).s))
}

func rangeOf(_ *run, a args) Value {
	x := &Range{step: 1}
	n := make([]int64, len(a.pos))
	for i, v := range a.pos {
		n[i] = int64(intOf(v))
	}
	switch len(n) {
	case 1:
		x.to = n[0]
	case 2:
		x.from, x.to = n[0], n[1]
	case 3:
		x.from, x.to, x.step = n[0], n[1], n[2]
	default:
		fail("range has one to three arguments")
	}
	if x.step == 0 {
		fail("range() arg 3 must not be zero")
	}
	if x.len() > maxSteps {
		exceed("it takes more than %d steps", maxSteps)
	}
	return x
}

// dict of a mapping or of pairs, and of keywords.
func (r *run) dict(a args) *Dict {
	if len(a.pos) > 1 {
		fail("dict takes one argument and keywords")
	}
	d := NewDict()
	if len(a.pos) == 1 {
		switch of := must(a.pos[0]).(type) {
		case *Dict:
			d = r.copied(of)
		case *Namespace:
			d = r.copied(of.attrs)
		default:
			for _, x := range r.items(of) {
				pair := r.items(x)
				if len(pair) != 2 {
					fail("dict is given what is not pairs")
				}
				d.Set(pair[0], pair[1])
			}
		}
	}
	for i, name := range a.names {
		d.Set(Own(name), a.vals[i])
	}
	r.take(2 * itemBytes * len(d.keys))
	return d
}

// cycler goes round its items, with next().
type cycler struct {
	items []Value
	at    int
}

func (c *cycler) member(name string) (Value, bool) {
	if len(c.items) == 0 {
		fail("at least one item has to be provided")
	}
	switch name {
	case "current":
		return c.items[c.at], true
	case "next":
		return function{name, func(*run, args) Value {
			v := c.items[c.at]
			c.at = (c.at + 1) % len(c.items)
			return v
		}}, true
	case "reset":
		return function{name, func(*run, args) Value {
			c.at = 0
			return nil
		}}, true
	}
	return nil, false
}

// joinerOf returns what is empty the first time, and a separator from then on.
func joinerOf(_ *run, a args) Value {
	sep := or(a.bind("joiner", "sep")[0], Own(", "))
	used := false
	return function{"joiner", func(*run, args) Value {
		if !used {
			used = true
			return Text{}
		}
		return sep
	}}
}

// strftime is that of Python's datetime.now, whose time has no zone, in the C locale.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		unpadded := format[i] == '-' && i+1 < len(format)
		if unpadded {
			i++
		}
		layout, ok := layouts[format[i]]
		s := t.Format(layout)
		switch {
		case !ok && format[i] == '%':
			s = "%"
		case !ok:
			s = "%" + string(format[i])
		case unpadded:
			if s = strings.TrimLeft(s, "0 "); s == "" {
				s = "0"
			}
		}
		b.WriteString(s)
	}
	return b.String()
}

var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday",
	'a': "Mon", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'Z': "", 'z': "", 'f': "000000",
	'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04",
	'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'n': "\n", 't': "\t",
}
