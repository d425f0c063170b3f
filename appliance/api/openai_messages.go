package api

import (
	"encoding/json"
	"fmt"
	"strings"

	"skerry/appliance/answer"
)

// chatMessage is one of OpenAI's.
type chatMessage struct {
	Role       string         `json:"role"`
	Content    content        `json:"content"`
	Name       string         `json:"name"`
	ToolCalls  []chatToolCall `json:"tool_calls"`
	ToolCallID string         `json:"tool_call_id"`
}

type chatToolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// content is a string, or a list of parts.
type content struct {
	there bool
	text  string
	other string // the type of a part that is no text
}

func (c *content) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		c.there, c.text = one != nil, value(one)
		return nil
	}
	var parts []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
	}
	if json.Unmarshal(b, &parts) != nil {
		return bad("messages.content", "a message's content must be a string or a list of parts")
	}
	var texts []string
	for _, p := range parts {
		switch p.Type {
		case "text", "input_text":
			texts = append(texts, p.Text)
		case "refusal":
			texts = append(texts, p.Refusal)
		default:
			c.other = p.Type
		}
	}
	c.there, c.text = true, strings.Join(texts, "\n")
	return nil
}

func noVision(param, model string) error {
	if model == "" {
		model = "that is loaded"
	}
	return bad(param, "model %s has no vision: send text alone", clip(model))
}

func messages(list []chatMessage, model string) (out []answer.Message, err error) {
	if len(list) == 0 {
		return nil, bad("messages", "there are no messages: send at least one")
	}
	for i, m := range list {
		at := fmt.Sprintf("messages[%d]", i)
		switch m.Content.other {
		case "":
		case "image_url", "input_image", "image":
			return nil, noVision(at+".content", model)
		default:
			return nil, bad(at+".content", "%s.content has a part of type %q: send parts of type text", at, clip(m.Content.other))
		}
		a := answer.Message{Role: m.Role, Content: m.Content.text, Name: m.Name, ToolCallID: m.ToolCallID}
		switch m.Role {
		case "system", "user":
		case "developer":
			a.Role = "system"
		case "assistant":
			if a.ToolCalls, err = toolCalls(at, m.ToolCalls); err != nil {
				return nil, err
			}
		case "tool":
			if m.ToolCallID == "" {
				return nil, bad(at+".tool_call_id", "%s.tool_call_id is missing: say which call this is the result of", at)
			}
		default:
			return nil, bad(at+".role", "%s.role is %q: it must be system, developer, user, assistant or tool", at, clip(m.Role))
		}
		if !m.Content.there && len(a.ToolCalls) == 0 {
			return nil, bad(at+".content", "%s.content is missing", at)
		}
		out = append(out, a)
	}
	return out, nil
}

func toolCalls(at string, calls []chatToolCall) (out []answer.ToolCall, err error) {
	for _, c := range calls {
		if c.Function.Name == "" {
			return nil, bad(at+".tool_calls", "a call in %s.tool_calls has no function.name", at)
		}
		out = append(out, answer.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: arguments(c.Function.Arguments)})
	}
	return out, nil
}

// arguments of a call are JSON; what a model got wrong is kept as a string.
func arguments(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("{}")
	}
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	b, _ := json.Marshal(s)
	return b
}
