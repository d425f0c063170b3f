package tools

import (
	"fmt"
	"regexp"
	"strings"

	"skerry/appliance/chat/orderedjson"
	"skerry/appliance/infer"
)

// Describe puts tools into a system message, for a model whose template does not know
// them, and turns calls and results of the conversation into plain text.
func Describe(m []infer.Message, tools []infer.Tool) []infer.Message {
	var b strings.Builder
	b.WriteString("You can call these functions:\n")
	for i, t := range tools {
		if f, err := Function(t, i); err == nil {
			b.WriteString(orderedjson.Encode(f) + "\n")
		}
	}
	b.WriteString("\nTo call one, answer with nothing but a line of JSON: " +
		`{"name": "function", "arguments": {…}}` + "\nElse answer in words.")
	var all []infer.Message
	if len(m) > 0 && m[0].Role == "system" {
		b.WriteString("\n\n" + m[0].Content)
		m = m[1:]
	}
	all = append(all, infer.Message{Role: "system", Content: b.String()})
	for _, x := range m {
		for _, c := range x.ToolCalls {
			x.Content += map[bool]string{true: "\n"}[x.Content != ""] +
				`{"name": ` + orderedjson.Quote(c.Name) + `, "arguments": ` + string(c.Arguments) + "}"
		}
		if x.Role == "tool" {
			x.Role, x.Content = "user", "Result: "+x.Content
		}
		x.ToolCalls, x.ToolCallID = nil, ""
		all = append(all, x)
	}
	return all
}

// toolName is what the APIs allow as the name of a function.
var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Function is the tool at place i of a request as the APIs and templates write a
// function: its name, description and parameters in that order. The error is a
// *infer.Error of BadRequest.
func Function(t infer.Tool, i int) (*orderedjson.Object, error) {
	if !toolName.MatchString(t.Name) {
		return nil, infer.Errorf(infer.BadRequest, fmt.Sprintf("tools/%d/name", i), "the name %q is not of letters, digits, _, . and -", t.Name)
	}
	f := orderedjson.New("name", t.Name, "description", t.Description)
	if len(t.Parameters) == 0 {
		f.Set("parameters", orderedjson.New("type", "object", "properties", orderedjson.New()))
		return f, nil
	}
	p, err := orderedjson.Decode(t.Parameters)
	if err != nil {
		return nil, infer.Errorf(infer.BadRequest, fmt.Sprintf("tools/%d/parameters", i), "the parameters are not JSON: %v", err)
	}
	f.Set("parameters", p)
	return f, nil
}
