package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"skerry/appliance/answer"
)

// chatTool is OpenAI's and Ollama's alike.
type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func tools(list []chatTool) (out []answer.Tool, err error) {
	if len(list) > 128 {
		return nil, bad("tools", "there are %d tools: give at most 128", len(list))
	}
	for i, t := range list {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "function" && t.Type != "" {
			return nil, bad(at+".type", "%s.type is %q: it must be function", at, clip(t.Type))
		}
		if !toolName.MatchString(t.Function.Name) {
			return nil, bad(at+".function.name", "%s.function.name must be 1 to 64 letters, digits, dots, dashes or underscores", at)
		}
		p := t.Function.Parameters
		if string(p) == "null" {
			p = nil
		}
		if len(p) > 0 && p[0] != '{' {
			return nil, bad(at+".function.parameters", "%s.function.parameters must be an object: a JSON schema", at)
		}
		out = append(out, answer.Tool{Name: t.Function.Name, Description: t.Function.Description, Parameters: p})
	}
	return out, nil
}

// toolChoice is a word, or an object that names a function; as answer.Request has
// it.
type toolChoice string

func (c *toolChoice) UnmarshalJSON(b []byte) error {
	var word *string
	if json.Unmarshal(b, &word) == nil {
		*c = toolChoice(value(word))
		switch *c {
		case "", "auto", "none", "required":
			return nil
		}
		return bad("tool_choice", "tool_choice is %q: it must be auto, none, required or an object that names a function", clip(*word))
	}
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(b, &named) != nil || named.Type != "function" || named.Function.Name == "" {
		return bad("tool_choice", `tool_choice must be auto, none, required or {"type":"function","function":{"name":"..."}}`)
	}
	*c = toolChoice("function:" + named.Function.Name)
	return nil
}

// chooseTools checks the tools and the choice among them.
func chooseTools(r *answer.Request, list []chatTool, choose toolChoice) (err error) {
	if r.Tools, err = tools(list); err != nil {
		return err
	}
	choice := string(choose)
	named := func(t answer.Tool) bool { return "function:"+t.Name == choice }
	switch choice {
	case "", "auto", "none":
	default:
		if len(r.Tools) == 0 {
			return bad("tool_choice", "tool_choice needs tools: send some")
		}
		if choice != "required" && !slices.ContainsFunc(r.Tools, named) {
			return bad("tool_choice", "tool_choice names %q, which is none of the tools", clip(choice[len("function:"):]))
		}
	}
	r.ToolChoice = choice
	return nil
}
