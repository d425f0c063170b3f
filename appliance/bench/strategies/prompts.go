package strategies

import (
	_ "embed"
	"strings"
)

//go:embed prompts.txt
var ownPrompts string

// Prompts reads prompts, one a line; without text they are a few of our own.
func Prompts(text string) []string {
	if text == "" {
		text = ownPrompts
	}
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
