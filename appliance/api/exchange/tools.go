package exchange

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"skerry/appliance/infer"
)

// ChatTool is OpenAI's and Ollama's alike.
type ChatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      *bool           `json:"strict"`
	} `json:"function"`
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func tools(list []ChatTool) (out []infer.Tool, err error) {
	if len(list) > 128 {
		return nil, BadRequest("tools", "there are %d tools: give at most 128", len(list))
	}
	for i, t := range list {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "function" && t.Type != "" {
			return nil, BadRequest(at+".type", "%s.type is %q: it must be function", at, Clip(t.Type))
		}
		if !toolName.MatchString(t.Function.Name) {
			return nil, BadRequest(at+".function.name", "%s.function.name must be 1 to 64 letters, digits, dots, dashes or underscores", at)
		}
		p := t.Function.Parameters
		if string(p) == "null" {
			p = nil
		}
		if len(p) > 0 && p[0] != '{' {
			return nil, BadRequest(at+".function.parameters", "%s.function.parameters must be an object: a JSON schema", at)
		}
		out = append(out, infer.Tool{Name: t.Function.Name, Description: t.Function.Description, Parameters: p, Strict: Value(t.Function.Strict)})
	}
	return out, nil
}

// ToolChoice is a word, or an object that names a function; as infer.Request has
// it.
type ToolChoice string

func (c *ToolChoice) UnmarshalJSON(b []byte) error {
	var word *string
	if json.Unmarshal(b, &word) == nil {
		*c = ToolChoice(Value(word))
		switch *c {
		case "", "auto", "none", "required":
			return nil
		}
		return BadRequest("tool_choice", "tool_choice is %q: it must be auto, none, required or an object that names a function", Clip(*word))
	}
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(b, &named) != nil || named.Type != "function" || named.Function.Name == "" {
		return BadRequest("tool_choice", `tool_choice must be auto, none, required or {"type":"function","function":{"name":"..."}}`)
	}
	*c = ToolChoice("function:" + named.Function.Name)
	return nil
}

// ChooseTools checks the tools and the choice among them.
func ChooseTools(r *infer.Request, list []ChatTool, choose ToolChoice) (err error) {
	if r.Tools, err = tools(list); err != nil {
		return err
	}
	choice := string(choose)
	named := func(t infer.Tool) bool { return "function:"+t.Name == choice }
	switch choice {
	case "", "auto", "none":
	default:
		if len(r.Tools) == 0 {
			return BadRequest("tool_choice", "tool_choice needs tools: send some")
		}
		if choice != "required" && !slices.ContainsFunc(r.Tools, named) {
			return BadRequest("tool_choice", "tool_choice names %q, which is none of the tools", Clip(choice[len("function:"):]))
		}
	}
	r.ToolChoice = choice
	return nil
}

// Arguments of a call are JSON; what a model got wrong is kept as a string.
func Arguments(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("{}")
	}
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s)
	return b
}

// Object of a call's arguments: an empty one stands for what is none.
func Object(arguments string) json.RawMessage {
	if raw := Arguments(arguments); raw[0] == '{' {
		return raw
	}
	return json.RawMessage("{}")
}
