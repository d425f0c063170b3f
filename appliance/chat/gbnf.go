package chat

import (
	"fmt"
	"strings"
)

// rules collects a grammar in llama.cpp's GBNF. Equal bodies are one rule.
type rules struct {
	text    strings.Builder
	n       int
	repeats int
	byBody  map[string]string
	byKey   map[string]string // of places in schemas, and common rules by name
}

func newRules() *rules {
	return &rules{byBody: map[string]string{}, byKey: map[string]string{}}
}

// errTooLarge stops a compilation.
var errTooLarge = fmt.Errorf("its grammar is too large: simplify it")

func (r *rules) check() error {
	if r.n > maxRules || r.text.Len() > maxGrammar || r.repeats > maxRepeats {
		return errTooLarge
	}
	return nil
}

// name reserves a rule, to be defined later.
func (r *rules) name() string {
	r.n++
	return fmt.Sprintf("r%d", r.n)
}

func (r *rules) define(name, body string) {
	fmt.Fprintf(&r.text, "%s ::= %s\n", name, body)
}

// rule is the name of a rule with this body.
func (r *rules) rule(body string) string {
	if name, ok := r.byBody[body]; ok {
		return name
	}
	name := r.name()
	r.byBody[body] = name
	r.define(name, body)
	return name
}

// common is a rule of every grammar that wants it, defined with those it uses.
func (r *rules) common(name string) string {
	if r.byKey[name] == "" {
		r.byKey[name] = name
		for _, other := range strings.Fields(commonUses[name]) {
			r.common(other)
		}
		r.define(name, commonRules[name])
	}
	return name
}

// The common rules. Between the parts of a value there may be a space, or one new
// line with an indent: without a bound a model can say nothing but blanks for ever.
// \u never begins a surrogate: half a pair is no text, and lengths count characters.
var commonRules = map[string]string{
	"ws":       `(" " | "\n" [ ]{0,24})?`,
	"value":    `object | array | string | number | "true" | "false" | "null"`,
	"object":   `"{" ws (member ("," ws member)*)? "}"`,
	"member":   `string ws ":" ws value ws`,
	"array":    `"[" ws (value ws ("," ws value ws)*)? "]"`,
	"string":   `"\"" char* "\""`,
	"char":     `[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cefA-CEF] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] | [dD] [0-7] [0-9a-fA-F] [0-9a-fA-F]))`,
	"plain":    `[^"\\\x7F\x00-\x1F]`,
	"integer":  `"-"? ("0" | [1-9] [0-9]{0,14})`,
	"number":   `integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?`,
	"fraction": `"." [0-9]{1,15}`,
	"above":    `"." [0-9]{0,14} [1-9]`,
}

var commonUses = map[string]string{
	"value":  "object array string number",
	"object": "ws member",
	"member": "ws string value",
	"array":  "ws value",
	"string": "char",
	"number": "integer",
}

// quote writes a literal of the grammar; it must not be empty.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// times repeats an item, which is one symbol and never empty, low to high times.
func (r *rules) times(item string, low, high int) string {
	high = min(high, maxRepeat)
	r.repeats += high
	switch {
	case high <= 0:
		return ""
	case low == 1 && high == 1:
		return item
	case low == high:
		return fmt.Sprintf("%s{%d}", item, low)
	}
	return fmt.Sprintf("%s{%d,%d}", item, low, high)
}

// any joins alternatives, without doubles.
func either(bodies []string) string {
	seen := map[string]bool{}
	var some []string
	for _, b := range bodies {
		if !seen[b] {
			seen[b] = true
			some = append(some, b)
		}
	}
	return strings.Join(some, " | ")
}
