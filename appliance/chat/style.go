package chat

import "strings"

// Style is the form in which a model writes tool calls.
type Style int

// The styles.
const (
	JSON    Style = iota // {"name": …, "arguments": {…}}, each on a line
	Hermes               // <tool_call>{"name": …, "arguments": {…}}</tool_call>
	Mistral              // [TOOL_CALLS][{"name": …, "arguments": {…}}, …]
	Llama                // {"name": …, "parameters": {…}}, maybe behind <|python_tag|>
)

// StyleOf tells from the template how its model writes calls. A nil template, or one
// without tools, is told to write JSON.
func StyleOf(t *Template) Style {
	if t == nil || !t.KnowsTools() {
		return JSON
	}
	switch {
	case strings.Contains(t.source, "<tool_call>"):
		return Hermes
	case strings.Contains(t.source, "[TOOL_CALLS]"):
		return Mistral
	case strings.Contains(t.source, "<|python_tag|>"), strings.Contains(t.source, `"parameters"`):
		return Llama
	}
	return JSON
}

// arguments is the key of a call's arguments.
func (s Style) arguments() string {
	if s == Llama {
		return "parameters"
	}
	return "arguments"
}
