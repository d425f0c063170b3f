package chat

import (
	"strings"

	"skerry/appliance/answer"
)

// Describe puts tools into a system message, for a model whose template does not know
// them, and turns calls and results of the conversation into plain text.
func Describe(m []answer.Message, tools []answer.Tool) []answer.Message {
	var b strings.Builder
	b.WriteString("You can call these functions:\n")
	for i, t := range tools {
		if f, err := functionOf(t, i); err == nil {
			b.WriteString(encodeJSON(f, 0) + "\n")
		}
	}
	b.WriteString("\nTo call one, answer with nothing but a line of JSON: " +
		`{"name": "function", "arguments": {…}}` + "\nElse answer in words.")
	var all []answer.Message
	if len(m) > 0 && m[0].Role == "system" {
		b.WriteString("\n\n" + m[0].Content)
		m = m[1:]
	}
	all = append(all, answer.Message{Role: "system", Content: b.String()})
	for _, x := range m {
		for _, c := range x.ToolCalls {
			x.Content += map[bool]string{true: "\n"}[x.Content != ""] +
				`{"name": ` + quoteJSON(c.Name) + `, "arguments": ` + string(c.Arguments) + "}"
		}
		if x.Role == "tool" {
			x.Role, x.Content = "user", "Result: "+x.Content
		}
		x.ToolCalls, x.ToolCallID = nil, ""
		all = append(all, x)
	}
	return all
}
