package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"skerry/appliance/chat/grammar"
)

// Rules collects a grammar in llama.cpp's GBNF. Rules with equal bodies are one. It is not
// to be used from several goroutines.
type Rules struct {
	text    *strings.Builder
	n       int
	repeats int
	work    int // as maxWork counts it
	byBody  map[string]string
	byKey   map[string]string // of places in schemas, and common rules by name
	left    []string          // of the schemas: what the grammar does not carry
}

// NewRules makes an empty collection.
func NewRules() *Rules {
	return &Rules{text: &strings.Builder{}, byBody: map[string]string{}, byKey: map[string]string{}}
}

// clone is a copy to go on with, for what may have to be taken back.
func (r *Rules) clone() *Rules {
	c := &Rules{text: &strings.Builder{}, n: r.n, repeats: r.repeats, work: r.work, byBody: maps.Clone(r.byBody), byKey: maps.Clone(r.byKey), left: slices.Clip(r.left)}
	c.text.WriteString(r.text.String())
	return c
}

// errTooLarge stops a compilation.
var errTooLarge = errors.New("its grammar is too large: simplify it")

func (r *Rules) check() error {
	if r.n > maxRules || r.text.Len() > maxGrammar || r.repeats > maxRepeats {
		return errTooLarge
	}
	return nil
}

// Leave notes a keyword, as a pointer into the request, that the answer is not held to.
func (r *Rules) Leave(at string) {
	if !slices.Contains(r.left, at) && len(r.left) < mostLeft {
		r.left = append(r.left, at)
	}
}

// Left are the keywords that the answer is not held to, as pointers into the request,
// each once and 100 at most.
func (r *Rules) Left() []string { return r.left }

// mostLeft bounds what a reply says of this.
const mostLeft = 100

// Grammar is the whole text; an answer is any one of the roots, which are names of rules.
// The error says that it is too large to be kept to.
func (r *Rules) Grammar(roots []string) (gbnf string, err error) {
	gbnf = "root ::= " + Either(roots) + "\n" + r.text.String()
	if err := r.check(); err != nil {
		return "", err
	}
	// The decoder compiles it anew, and finds it among those of late.
	_, err = grammar.Compile(gbnf)
	return gbnf, err
}

// name reserves a rule, to be defined later.
func (r *Rules) name() string {
	r.n++
	return fmt.Sprintf("r%d", r.n)
}

func (r *Rules) define(name, body string) {
	fmt.Fprintf(r.text, "%s ::= %s\n", name, body)
}

// Recursive is the name of a rule that others may use before define gives it its body.
func (r *Rules) Recursive() (name string, define func(body string)) {
	name = r.name()
	return name, func(body string) { r.define(name, body) }
}

// Rule is the name of a rule with this body, which is defined where it is not there.
func (r *Rules) Rule(body string) string {
	if name, ok := r.byBody[body]; ok {
		return name
	}
	name := r.name()
	r.byBody[body] = name
	r.define(name, body)
	return name
}

// Common is the name of one of the common rules, which is defined where it is not there:
// ws, value, object, array, string, integer, number and parts of these.
func (r *Rules) Common(name string) string {
	if r.byKey[name] == "" {
		r.byKey[name] = name
		for _, other := range strings.Fields(commonUses[name]) {
			r.Common(other)
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

// Quote writes a literal of the grammar; the text must not be empty.
func Quote(text string) string {
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
func (r *Rules) times(item string, low, high int) string {
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

// Either joins alternatives and leaves out doubles.
func Either(bodies []string) string {
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
