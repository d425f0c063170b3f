package anthropic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// messagesRequest is the body of /v1/messages.
type messagesRequest struct {
	Model       string            `json:"model"`
	MaxTokens   *exchange.Integer `json:"max_tokens"`
	Messages    []turn            `json:"messages"`
	System      content           `json:"system"`
	Stops       exchange.Stops    `json:"stop_sequences"`
	Stream      bool              `json:"stream"`
	Temperature *float32          `json:"temperature"`
	TopK        *exchange.Integer `json:"top_k"`
	TopP        *float32          `json:"top_p"`
	Tools       []tool            `json:"tools"`
	Choice      *choice           `json:"tool_choice"`
	Thinking    *struct {
		Type string `json:"type"`
	} `json:"thinking"`
	Skerry exchange.Extra `json:"skerry"`
}

type turn struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is a string, or a list of blocks.
type content []part

type part struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	// Content of a tool_result, a string or blocks of text. It is read once the block is known
	// to be one, and no deeper: results hold no results.
	Content json.RawMessage `json:"content"`
	IsError bool            `json:"is_error"`
	Source  struct {
		Type string `json:"type"`
		Data string `json:"data"`
		URL  string `json:"url"`
	} `json:"source"`
}

func (c *content) UnmarshalJSON(b []byte) error {
	var text *string
	if json.Unmarshal(b, &text) == nil {
		if *c = nil; text != nil {
			*c = content{{Type: "text", Text: *text}}
		}
		return nil
	}
	var parts []part
	if json.Unmarshal(b, &parts) != nil {
		return exchange.BadRequest("messages.content", "content must be a string or a list of blocks")
	}
	*c = parts
	return nil
}

// result is the text of a tool_result.
func (p *part) result(at string) (string, []infer.Image, error) {
	if p.Content == nil {
		return "", nil, nil
	}
	var c content
	if json.Unmarshal(p.Content, &c) != nil {
		return "", nil, exchange.BadRequest(at, "%s must be a string or a list of blocks", at)
	}
	return c.text(at)
}

// text of blocks that may hold nothing else but images.
func (c content) text(at string) (_ string, images []infer.Image, err error) {
	var all []string
	for i, p := range c {
		switch p.Type {
		case "text":
			all = append(all, p.Text)
		case "image":
			here := fmt.Sprintf("%s[%d]", at, i)
			if p.Source.Type != "base64" && p.Source.Type != "url" || p.Source.Data == "" && p.Source.URL == "" {
				return "", nil, exchange.BadRequest(here, "%s needs a source of type base64 with data", here)
			}
			images = append(images, infer.Image{At: len(strings.Join(all, "\n")), Source: cmp.Or(p.Source.Data, p.Source.URL), Param: here})
		default:
			return "", nil, exchange.BadRequest(fmt.Sprintf("%s[%d].type", at, i), "%s[%d] is of type %q: send text or an image", at, i, exchange.Clip(p.Type))
		}
	}
	return strings.Join(all, "\n"), images, nil
}

type tool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict"`
}

type choice struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Serial bool   `json:"disable_parallel_tool_use"`
}

func (m *messagesRequest) request() (r infer.Request, err error) {
	for _, err := range []error{
		exchange.Within("max_tokens", m.MaxTokens, -1, math.MaxInt32),
		exchange.Within("temperature", m.Temperature, 0, 2),
		exchange.Within("top_p", m.TopP, 0, 1),
		exchange.Within("top_k", m.TopK, -1, math.MaxInt32),
	} {
		if err != nil {
			return r, err
		}
	}
	if m.MaxTokens != nil && *m.MaxTokens == 0 {
		return r, exchange.BadRequest("max_tokens", "max_tokens is 0: it must be 1 or more, or -1 for all that fits")
	}
	r.MaxTokens = max(0, int(exchange.Value(m.MaxTokens)))
	r.Model, r.Mode, r.ParallelTools = m.Model, m.Skerry.Mode, true
	r.Temperature, r.TopP, r.TopK = m.Temperature, m.TopP, exchange.TopK(m.TopK)
	if r.Stop, err = m.Stops.Check(); err != nil {
		return r, err
	}
	if r.Messages, err = m.conversation(); err != nil {
		return r, err
	}
	last := r.Messages[len(r.Messages)-1]
	r.Continue = last.Role == "assistant" && len(last.ToolCalls) == 0
	if err := m.think(&r); err != nil {
		return r, err
	}
	return r, m.tools(&r)
}

func (m *messagesRequest) think(r *infer.Request) error {
	var t exchange.Thinking
	if m.Thinking != nil {
		switch m.Thinking.Type {
		case "enabled", "adaptive":
			t.Think = json.RawMessage("true")
		case "disabled":
			t.Think = json.RawMessage("false")
		default:
			return exchange.BadRequest("thinking.type", "thinking.type is %q: it must be enabled, adaptive or disabled", exchange.Clip(m.Thinking.Type))
		}
	}
	return t.Apply(r)
}

func (m *messagesRequest) conversation() (all []infer.Message, err error) {
	if len(m.Messages) == 0 {
		return nil, exchange.BadRequest("messages", "there are no messages: send at least one")
	}
	if len(m.System) > 0 {
		text, images, err := m.System.text("system")
		if err == nil && len(images) > 0 {
			err = exchange.BadRequest("system", "there is an image in system: send it in a message of the user")
		}
		if err != nil {
			return nil, err
		}
		all = append(all, infer.Message{Role: "system", Content: text})
	}
	for i, t := range m.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		switch t.Role {
		case "user", "assistant", "system":
		default:
			return nil, exchange.BadRequest(at+".role", "%s.role is %q: it must be user or assistant", at, exchange.Clip(t.Role))
		}
		more, err := t.messages(at + ".content")
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// messages of a turn: results of tools each are one, before what the user says.
func (t *turn) messages(at string) (all []infer.Message, err error) {
	said := infer.Message{Role: t.Role}
	var texts content
	for i, p := range t.Content {
		here := fmt.Sprintf("%s[%d]", at, i)
		switch p.Type {
		case "thinking", "redacted_thinking": // earlier thoughts are not shown to the model
		case "tool_use":
			if p.Name == "" || t.Role != "assistant" {
				return nil, exchange.BadRequest(here, "%s must be the assistant's, with a name", here)
			}
			said.ToolCalls = append(said.ToolCalls, infer.ToolCall{ID: p.ID, Name: p.Name, Arguments: exchange.Arguments(string(p.Input))})
		case "tool_result":
			if p.ToolUseID == "" {
				return nil, exchange.BadRequest(here+".tool_use_id", "%s.tool_use_id is missing: say which call this is the result of", here)
			}
			text, images, err := p.result(here + ".content")
			if err != nil {
				return nil, err
			}
			if p.IsError {
				text = "error: " + text
			}
			all = append(all, infer.Message{Role: "tool", ToolCallID: p.ToolUseID, Content: text, Images: images})
		default:
			texts = append(texts, p)
		}
	}
	if said.Content, said.Images, err = texts.text(at); err != nil {
		return nil, err
	}
	if len(texts) > 0 || len(said.ToolCalls) > 0 || len(all) == 0 {
		all = append(all, said)
	}
	return all, nil
}

func (m *messagesRequest) tools(r *infer.Request) error {
	var list []exchange.ChatTool
	for i, t := range m.Tools {
		if t.Type != "" && t.Type != "custom" {
			at := fmt.Sprintf("tools[%d].type", i)
			return exchange.BadRequest(at, "%s is %q: tools that the server runs are not to be had here, send your own with input_schema", at, exchange.Clip(t.Type))
		}
		var one exchange.ChatTool
		one.Function.Name, one.Function.Description, one.Function.Parameters, one.Function.Strict = t.Name, t.Description, t.Schema, t.Strict
		list = append(list, one)
	}
	choose := exchange.ToolChoice("")
	if c := m.Choice; c != nil {
		r.ParallelTools = !c.Serial
		switch c.Type {
		case "auto", "none":
			choose = exchange.ToolChoice(c.Type)
		case "any":
			choose = "required"
		case "tool":
			choose = exchange.ToolChoice("function:" + c.Name)
		default:
			return exchange.BadRequest("tool_choice.type", "tool_choice.type is %q: it must be auto, any, tool or none", exchange.Clip(c.Type))
		}
	}
	return exchange.ChooseTools(r, list, choose)
}
