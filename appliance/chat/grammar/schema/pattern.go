package schema

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"skerry/appliance/chat/orderedjson"
)

// maxPattern is the most bytes of one.
const maxPattern = 4096

var errPattern = errors.New("the pattern is too long")

// pattern turns a regular expression into what may stand between the quotes of a JSON
// string. Anchors are understood at the ends; without them anything may stand there,
// as JSON Schema has it.
func (c *compiler) pattern(source string) (string, error) {
	if len(source) > maxPattern {
		return "", errPattern
	}
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return "", fmt.Errorf("%w: lookarounds and back references are not supported", err)
	}
	var bodies []string
	for _, branch := range branches(re) {
		parts, front, back := unanchored(branch)
		body, err := c.sequence(parts)
		if err != nil {
			return "", err
		}
		anything := c.Common("char") + "*"
		if !front {
			body = anything + " " + body
		}
		if !back {
			body += " " + anything
		}
		bodies = append(bodies, strings.TrimSpace(body))
	}
	return c.group(bodies), nil
}

// group is alternatives as one symbol, which may be empty.
func (c *compiler) group(bodies []string) string {
	var some []string
	empty := false
	for _, b := range bodies {
		if b == "" {
			empty = true
		} else {
			some = append(some, b)
		}
	}
	switch {
	case len(some) == 0:
		return ""
	case empty:
		return c.Rule("(" + Either(some) + ")?")
	}
	return c.Rule(Either(some))
}

// branches are the alternatives at the top, out of their groups.
func branches(re *syntax.Regexp) (all []*syntax.Regexp) {
	switch re.Op {
	case syntax.OpCapture:
		return branches(re.Sub[0])
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			all = append(all, branches(s)...)
		}
		return all
	}
	return []*syntax.Regexp{re}
}

// unanchored takes the anchors off the ends.
func unanchored(re *syntax.Regexp) (parts []*syntax.Regexp, front, back bool) {
	parts = []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	for len(parts) > 0 && (parts[0].Op == syntax.OpBeginText || parts[0].Op == syntax.OpBeginLine) {
		parts, front = parts[1:], true
	}
	for len(parts) > 0 && (parts[len(parts)-1].Op == syntax.OpEndText || parts[len(parts)-1].Op == syntax.OpEndLine) {
		parts, back = parts[:len(parts)-1], true
	}
	return parts, front, back
}

func (c *compiler) sequence(parts []*syntax.Regexp) (string, error) {
	var all []string
	for _, p := range parts {
		s, err := c.expression(p)
		if err != nil {
			return "", err
		}
		if s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " "), nil
}

func (c *compiler) expression(re *syntax.Regexp) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return "", nil
	case syntax.OpLiteral:
		return c.literal(re), nil
	case syntax.OpCharClass:
		return c.class(re.Rune)
	case syntax.OpAnyCharNotNL:
		return c.Rule(`[^"\\\x7F\x00-\x1F] | "\\" ["\\/bfrt]`), nil
	case syntax.OpAnyChar:
		return c.Common("char"), nil
	case syntax.OpCapture:
		return c.expression(re.Sub[0])
	case syntax.OpConcat:
		return c.sequence(re.Sub)
	case syntax.OpAlternate:
		var bodies []string
		for _, s := range re.Sub {
			b, err := c.expression(s)
			if err != nil {
				return "", err
			}
			bodies = append(bodies, b)
		}
		return c.group(bodies), nil
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return c.repeat(re)
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpEndLine, syntax.OpEndText:
		return "", fmt.Errorf("anchors are supported at the ends of the pattern only")
	}
	return "", fmt.Errorf("%s is not supported in a pattern", re)
}

func (c *compiler) repeat(re *syntax.Regexp) (string, error) {
	low, high := re.Min, re.Max
	switch re.Op {
	case syntax.OpStar:
		low, high = 0, -1
	case syntax.OpPlus:
		low, high = 1, -1
	case syntax.OpQuest:
		low, high = 0, 1
	}
	body, err := c.expression(re.Sub[0])
	if err != nil || body == "" || high == 0 {
		return "", err
	}
	item := c.Rule(body)
	if high >= 0 {
		return c.times(item, low, high), nil
	}
	switch low {
	case 0:
		return item + "*", nil
	case 1:
		return item + "+", nil
	}
	return c.times(item, low, low) + " " + item + "*", nil
}

func (c *compiler) literal(re *syntax.Regexp) string {
	text := string(re.Rune)
	if re.Flags&syntax.FoldCase == 0 {
		inner := orderedjson.Quote(text)
		return Quote(inner[1 : len(inner)-1])
	}
	var all []string
	for _, r := range text {
		class, _ := c.class(folds(r))
		all = append(all, class)
	}
	return strings.Join(all, " ")
}

// class is one character out of pairs of runes from, to. Characters that JSON escapes
// stand escaped.
func (c *compiler) class(ranges []rune) (string, error) {
	class := ""
	var bodies []string
	for i := 0; i < len(ranges); i += 2 {
		from, to := ranges[i], min(ranges[i+1], utf8.MaxRune)
		for _, e := range escapes {
			if e.r >= from && e.r <= to {
				bodies = append(bodies, Quote(e.text))
			}
		}
		for _, piece := range writable(from, to) {
			class += classRune(piece[0])
			if piece[1] > piece[0] {
				class += "-" + classRune(piece[1])
			}
		}
	}
	if class != "" {
		bodies = append([]string{"[" + class + "]"}, bodies...)
	}
	if len(bodies) == 0 {
		return "", fmt.Errorf("a class of the pattern holds no character that JSON may write")
	}
	return c.Rule(Either(bodies)), nil
}

// escapes are the characters a JSON string writes with a backslash.
var escapes = []struct {
	r    rune
	text string
}{{'"', `\"`}, {'\\', `\\`}, {'\n', `\n`}, {'\r', `\r`}, {'\t', `\t`}, {'\b', `\b`}, {'\f', `\f`}}

// writable cuts out of a range what never stands in a JSON string as it is: controls,
// quotes, backslashes; and surrogates, which are no characters.
func writable(from, to rune) (pieces [][2]rune) {
	for _, gap := range [][2]rune{{0, 0x1f}, {'"', '"'}, {'\\', '\\'}, {0x7f, 0x7f}, {0xd800, 0xdfff}} {
		if from < gap[0] && from <= to {
			pieces = append(pieces, [2]rune{from, min(to, gap[0]-1)})
		}
		from = max(from, gap[1]+1)
		if from > to {
			break
		}
	}
	if from <= to {
		pieces = append(pieces, [2]rune{from, to})
	}
	return pieces
}

// classRune writes a rune within [ ].
func classRune(r rune) string {
	switch {
	case r < 0x20 || r == 0x7f:
		return fmt.Sprintf(`\x%02X`, r)
	case strings.ContainsRune(`[]-^"\`, r):
		if r == '-' || r == '^' {
			return fmt.Sprintf(`\x%02X`, r)
		}
		return `\` + string(r)
	}
	return string(r)
}

// folds are all runes that are one but for their case, as ranges.
func folds(r rune) (ranges []rune) {
	for f := unicode.SimpleFold(r); ; f = unicode.SimpleFold(f) {
		ranges = append(ranges, f, f)
		if f == r {
			return ranges
		}
	}
}
