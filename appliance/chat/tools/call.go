package tools

import (
	"encoding/json"

	"skerry/appliance/chat/orderedjson"
)

// call is the JSON object of a call, as far as it is read: {"name": …, "arguments": {…}}
// in any order, with "parameters" for arguments, and with "type" and "id" passed over.
type call struct {
	name      string
	arguments []byte // until the name is known
	given     bool   // the arguments are there, or begin
	begun     bool   // it was told
	key       string
	text      []byte // of the string under way, with its quotes
	then      func(p *Parser, s string) state
	depth     int
	quoted    bool // within a string of the arguments
	escaped   bool
}

// maxName bounds the keys and names that are held back.
const maxName = 256

// maxBefore bounds arguments that come before the name: what is held back is looked at
// anew from every call that might begin in it.
const maxBefore = 16 << 10

// object begins behind {.
func (p *Parser) object() state {
	p.call = call{}
	return key
}

// keep holds a byte until the call is told.
func (p *Parser) keep(c byte) {
	if !p.call.begun {
		p.held = append(p.held, c)
	}
}

// broken is a byte that a call cannot have here. One that was told ends before it.
func (p *Parser) broken(c byte) state {
	if !p.call.begun {
		return p.fail()
	}
	p.marked, p.tagged, p.listed = false, false, false
	p.finish()
	if p.Done() {
		return plain
	}
	return plain(p, c)
}

// key is where a key is to begin, or the object to end.
func key(p *Parser, c byte) state {
	p.keep(c)
	switch {
	case space(c):
		return key
	case c == '"':
		return p.string(func(p *Parser, s string) state {
			p.call.key = s
			if p.lazy && p.call.name == "" && string(p.call.text) != `"name"` {
				return nil
			}
			switch s {
			case "name", "arguments", "parameters", "type", "id", "function":
				return colon
			}
			return nil
		})
	case c == '}':
		return p.whole(c)
	}
	return p.broken(c)
}

// whole is the end of the object. Without a marker only what has arguments is a call.
func (p *Parser) whole(c byte) state {
	if p.call.begun {
		return p.finish()
	}
	if !p.tools[p.call.name] || !p.call.given && !p.marked {
		return p.broken(c)
	}
	if !p.call.given {
		p.call.arguments = []byte("{}")
	}
	p.begin()
	return p.finish()
}

func colon(p *Parser, c byte) state {
	p.keep(c)
	switch {
	case space(c):
		return colon
	case c == ':':
		return value
	}
	return p.broken(c)
}

func value(p *Parser, c byte) state {
	if space(c) {
		p.keep(c)
		return value
	}
	arguments := p.call.key == "arguments" || p.call.key == "parameters"
	switch {
	case arguments && !p.call.given && c == '{':
		p.call.given = true
		if p.tools[p.call.name] && !p.call.begun {
			p.begin()
		}
		return inArguments(p, c)
	case c != '"':
		p.keep(c)
		return p.broken(c)
	}
	p.keep(c)
	return p.string(func(p *Parser, s string) state {
		switch {
		case arguments:
			return p.encoded(s)
		case p.call.key == "name", p.call.key == "function":
			return p.named(s)
		}
		return comma
	})
}

// named is the name, which has to be a tool's.
func (p *Parser) named(name string) state {
	if !p.tools[name] || p.call.name != "" || p.lazy && string(p.call.text) != orderedjson.Quote(name) {
		return nil
	}
	p.call.name = name
	if p.call.given {
		p.begin()
	}
	return comma
}

// encoded is arguments as a string of JSON, as some models write them.
func (p *Parser) encoded(s string) state {
	var o map[string]any
	if p.call.given || json.Unmarshal([]byte(s), &o) != nil {
		return nil
	}
	p.call.given, p.call.arguments = true, []byte(s)
	if p.call.name != "" {
		p.begin()
	}
	return comma
}

// inArguments passes the object through until it closes.
func inArguments(p *Parser, c byte) state {
	p.keep(c)
	switch {
	case p.call.begun:
		p.say([]byte{c})
	case len(p.held) > maxBefore:
		return p.fail()
	default:
		p.call.arguments = append(p.call.arguments, c)
	}
	k := &p.call
	switch {
	case k.escaped:
		k.escaped = false
	case k.quoted:
		k.escaped = c == '\\'
		k.quoted = c != '"'
	case c == '"':
		k.quoted = true
	case c == '{' || c == '[':
		k.depth++
	case c == '}' || c == ']':
		if k.depth--; k.depth == 0 {
			return comma
		}
	}
	return inArguments
}

func comma(p *Parser, c byte) state {
	p.keep(c)
	switch {
	case space(c):
		return comma
	case c == ',':
		return key
	case c == '}':
		return p.whole(c)
	}
	return p.broken(c)
}

// string reads on behind a quote; then gets the string, and returns nil where it is
// not one that a call has there.
func (p *Parser) string(then func(p *Parser, s string) state) state {
	p.call.text, p.call.then = []byte{'"'}, then
	return inString
}

func inString(p *Parser, c byte) state {
	p.keep(c)
	k := &p.call
	k.text = append(k.text, c)
	switch {
	case k.escaped:
		k.escaped = false
	case c == '\\':
		k.escaped = true
	case c == '"':
		var s string
		if json.Unmarshal(k.text, &s) == nil {
			if next := k.then(p, s); next != nil {
				return next
			}
		}
		return p.broken(c)
	case len(k.text) > maxName && k.key != "arguments" && k.key != "parameters":
		return p.broken(c)
	}
	return inString
}
