package openai

import (
	"encoding/json"
	"fmt"
	"strings"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
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
	there  bool
	text   string
	images []infer.Image
	other  string // the type of a part that is neither text nor an image
}

func (c *content) UnmarshalJSON(b []byte) error {
	var one *string
	if json.Unmarshal(b, &one) == nil {
		c.there, c.text = one != nil, exchange.Value(one)
		return nil
	}
	var parts []struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		Refusal string `json:"refusal"`
		// Image is an object in chats, and a string in responses.
		Image json.RawMessage `json:"image_url"`
	}
	if json.Unmarshal(b, &parts) != nil {
		return exchange.BadRequest("messages.content", "a message's content must be a string or a list of parts")
	}
	var texts []string
	for _, p := range parts {
		switch p.Type {
		case "text", "input_text", "output_text":
			texts = append(texts, p.Text)
		case "refusal":
			texts = append(texts, p.Refusal)
		case "image_url", "input_image":
			var in struct {
				URL string `json:"url"`
			}
			if json.Unmarshal(p.Image, &in.URL) != nil && json.Unmarshal(p.Image, &in) != nil || in.URL == "" {
				return exchange.BadRequest("messages.content", "a part of type %s needs image_url with the image, as data:image/png;base64,...", p.Type)
			}
			c.images = append(c.images, infer.Image{At: len(strings.Join(texts, "\n")), Source: in.URL})
		default:
			c.other = p.Type
		}
	}
	c.there, c.text = true, strings.Join(texts, "\n")
	return nil
}

func messages(list []chatMessage) (out []infer.Message, err error) {
	if len(list) == 0 {
		return nil, exchange.BadRequest("messages", "there are no messages: send at least one")
	}
	for i, m := range list {
		at := fmt.Sprintf("messages[%d]", i)
		switch m.Content.other {
		case "":
		default:
			return nil, exchange.BadRequest(at+".content", "%s.content has a part of type %q: send parts of type text or image_url", at, exchange.Clip(m.Content.other))
		}
		a := infer.Message{Role: m.Role, Content: m.Content.text, Name: m.Name, ToolCallID: m.ToolCallID, Images: m.Content.images}
		for k := range a.Images {
			a.Images[k].Param = at + ".content"
		}
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
				return nil, exchange.BadRequest(at+".tool_call_id", "%s.tool_call_id is missing: say which call this is the result of", at)
			}
		default:
			return nil, exchange.BadRequest(at+".role", "%s.role is %q: it must be system, developer, user, assistant or tool", at, exchange.Clip(m.Role))
		}
		if !m.Content.there && len(a.ToolCalls) == 0 {
			return nil, exchange.BadRequest(at+".content", "%s.content is missing", at)
		}
		out = append(out, a)
	}
	return out, nil
}

func toolCalls(at string, calls []chatToolCall) (out []infer.ToolCall, err error) {
	for _, c := range calls {
		if c.Function.Name == "" {
			return nil, exchange.BadRequest(at+".tool_calls", "a call in %s.tool_calls has no function.name", at)
		}
		out = append(out, infer.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: exchange.Arguments(c.Function.Arguments)})
	}
	return out, nil
}
