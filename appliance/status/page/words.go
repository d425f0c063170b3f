package page

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"skerry/appliance/status"
)

var unit = regexp.MustCompile(`(\d) (%|[kMGT]?B|ms|s|min|h|d)(\W|$)`)

// together keeps figures and their units on one line.
func together(text string) string { return unit.ReplaceAllString(text, "$1\u00a0$2$3") }

// sizeText is status.Bytes of whatever a template has.
func sizeText(n any) string {
	switch n := n.(type) {
	case int64:
		return status.Bytes(n)
	case uint64:
		return status.Bytes(n)
	case float64:
		return status.Bytes(n)
	}
	return fmt.Sprint(n)
}

// thousands sets a thin space between groups of three digits, from five digits on.
func thousands(n any) string {
	digits := fmt.Sprint(n)
	if len(digits) < 5 {
		return digits
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// plural is a count, as thousands has it, and its noun.
func plural(n any, noun string, plural ...string) string {
	switch count := fmt.Sprint(n); {
	case count == "1":
		return "1 " + noun
	case len(plural) > 0:
		return thousands(n) + " " + plural[0]
	default:
		return thousands(n) + " " + noun + "s"
	}
}

// when tells a time of day, with the date where it is another day than now's. It
// does not change as time goes by: what has not changed is not sent, nor read out,
// again.
func when(now, t time.Time) string {
	t = t.UTC()
	if now.Sub(t) > 20*time.Hour || t.After(now.Add(20*time.Hour)) {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("15:04")
}

// piece of what to do: words, or something to type.
type piece struct {
	Text string
	Code bool
}

// todo finds in a Problem's Do what is to be typed: what stands between backquotes,
// or all of it where it begins as a command.
func todo(do string) (pieces []piece) {
	if name, _, _ := strings.Cut(do, " "); (name == "skerry" || name == "sudo") && !strings.ContainsAny(do, "`;,") {
		return []piece{{do, true}}
	}
	for i, text := range strings.Split(do, "`") {
		if text != "" {
			pieces = append(pieces, piece{text, i%2 == 1})
		}
	}
	return pieces
}

func title(s status.State) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}
