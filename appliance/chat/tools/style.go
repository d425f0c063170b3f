package tools

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

// StyleOf tells from the source of a template that shows tools how its model writes calls.
func StyleOf(source string) Style {
	switch {
	case strings.Contains(source, "<tool_call>"):
		return Hermes
	case strings.Contains(source, "[TOOL_CALLS]"):
		return Mistral
	case strings.Contains(source, "<|python_tag|>"), strings.Contains(source, `"parameters"`):
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
