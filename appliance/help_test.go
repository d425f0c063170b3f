package main

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// Help is whole sentences that say what happens.
func TestHelpIsSentences(t *testing.T) {
	k, err := kong.New(&program{}, modelVars(), groups)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		if n.Hidden {
			return
		}
		check := func(what, help string) {
			seen++
			if why := noSentence(help); why != "" {
				t.Errorf("%s %s: %q %s", n.FullPath(), what, help, why)
			}
		}
		if n.Parent != nil {
			check("itself", n.Help)
		}
		for _, f := range n.Flags {
			check("--"+f.Name, f.Help)
		}
		for _, p := range n.Positional {
			check(p.Name, p.Help)
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(k.Model.Node)
	if seen < 100 {
		t.Errorf("%d commands and flags were looked at", seen)
	}
}

// noSentence is what keeps a text from being sentences, as far as can be told from it.
func noSentence(help string) string {
	first, _ := utf8.DecodeRuneInString(help)
	switch words := strings.Fields(help); {
	case !unicode.IsUpper(first) && !unicode.IsDigit(first):
		return "begins small"
	case !strings.HasSuffix(help, "."):
		return "has no full stop"
	case strings.Contains(help, "  ") || strings.TrimSpace(help) != help:
		return "has spaces too many"
	case len(words) < 2:
		return "is one word"
	case slices.Contains([]string{"As", "Of", "Its", "Their", "The", "Where", "What"}, words[0]):
		return "names a thing and does not say what happens"
	}
	return ""
}
