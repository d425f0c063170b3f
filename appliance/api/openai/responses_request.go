package openai

import (
	"encoding/json"
	"fmt"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// responseRequest is the body of /v1/responses.
type responseRequest struct {
	Model        string            `json:"model"`
	Input        responseInput     `json:"input"`
	Instructions string            `json:"instructions"`
	MaxTokens    *exchange.Integer `json:"max_output_tokens"`
	Temperature  *float32          `json:"temperature"`
	TopP         *float32          `json:"top_p"`
	Stream       bool              `json:"stream"`
	Store        *bool             `json:"store"`
	Previous     string            `json:"previous_response_id"`
	Truncation   string            `json:"truncation"`
	Tools        []responseTool    `json:"tools"`
	Choice       json.RawMessage   `json:"tool_choice"`
	Parallel     *bool             `json:"parallel_tool_calls"`
	Text         struct {
		Format *textFormat `json:"format"`
	} `json:"text"`
	Reasoning struct {
		Effort *string `json:"effort"`
	} `json:"reasoning"`
	Skerry   exchange.Extra `json:"skerry"`
	thinking exchange.Thinking
}

// responseTool is a function, without the object around it that chats have.
type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// textFormat is the response_format of a chat, without the object in it.
type textFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
	Strict *bool           `json:"strict"`
}

// responseInput is a string or a list of items.
type responseInput []inputItem

type inputItem struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   content         `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
}

func (in *responseInput) UnmarshalJSON(b []byte) error {
	var text *string
	if json.Unmarshal(b, &text) == nil {
		if *in = nil; text != nil {
			*in = responseInput{{Role: "user", Content: content{there: true, text: *text}}}
		}
		return nil
	}
	var items []inputItem
	if err := json.Unmarshal(b, &items); err != nil {
		return exchange.BadRequest("input", "input must be a string or a list of items: messages, function_call and function_call_output")
	}
	*in = items
	return nil
}

// request goes on with the conversation before.
func (c *responseRequest) request(before []infer.Message) (r infer.Request, err error) {
	for _, err := range []error{
		tokensWithin("max_output_tokens", c.MaxTokens),
		exchange.Within("temperature", c.Temperature, 0, 2),
		exchange.Within("top_p", c.TopP, 0, 1),
	} {
		if err != nil {
			return r, err
		}
	}
	if c.Truncation != "" && c.Truncation != "auto" && c.Truncation != "disabled" {
		return r, exchange.BadRequest("truncation", "truncation is %q: it must be auto or disabled", exchange.Clip(c.Truncation))
	}
	r.Model, r.Mode, r.MaxTokens = c.Model, c.Skerry.Mode, max(0, int(exchange.Value(c.MaxTokens)))
	r.Temperature, r.TopP, r.ParallelTools = c.Temperature, c.TopP, c.Parallel == nil || *c.Parallel
	if r.Messages, err = c.Input.messages(before); err != nil {
		return r, err
	}
	if c.Instructions != "" {
		if r.Messages[0].Role == "system" && len(before) > 0 {
			r.Messages = r.Messages[1:] // those of the response before do not carry over
		}
		r.Messages = append([]infer.Message{{Role: "system", Content: c.Instructions}}, r.Messages...)
	}
	if f := c.Text.Format; f != nil {
		of := responseFormat{Type: f.Type}
		of.Schema.Schema, of.Schema.Strict = f.Schema, f.Strict
		if err := of.bind(&r); err != nil {
			return r, err
		}
	}
	c.thinking.Effort = c.Reasoning.Effort
	if err := c.thinking.Apply(&r); err != nil {
		return r, err
	}
	return r, c.tools(&r)
}

// messages behind those of before. Calls that follow one another are one message's.
func (in responseInput) messages(before []infer.Message) ([]infer.Message, error) {
	all := append([]infer.Message{}, before...)
	if len(in) == 0 {
		return nil, exchange.BadRequest("input", "there is no input: send a string or a list of items")
	}
	for i, item := range in {
		at := fmt.Sprintf("input[%d]", i)
		switch item.Type {
		case "reasoning": // earlier thoughts are not shown to the model
		case "", "message":
			one, err := messages([]chatMessage{{Role: item.Role, Content: item.Content}})
			if err != nil {
				return nil, within(err, at)
			}
			for k := range one[0].Images {
				one[0].Images[k].Param = at + ".content"
			}
			all = append(all, one...)
		case "function_call":
			calls, err := toolCalls(at, []chatToolCall{callOf(item)})
			if err != nil {
				return nil, err
			}
			if n := len(all); n > 0 && all[n-1].Role == "assistant" {
				all[n-1].ToolCalls = append(all[n-1].ToolCalls[:len(all[n-1].ToolCalls):len(all[n-1].ToolCalls)], calls...)
			} else {
				all = append(all, infer.Message{Role: "assistant", ToolCalls: calls})
			}
		case "function_call_output":
			var c content
			if err := json.Unmarshal(item.Output, &c); err != nil || !c.there || c.other != "" || len(c.images) > 0 || item.CallID == "" {
				return nil, exchange.BadRequest(at, "%s must have a call_id and an output of text", at)
			}
			all = append(all, infer.Message{Role: "tool", ToolCallID: item.CallID, Content: c.text})
		default:
			return nil, exchange.BadRequest(at+".type", "%s is of type %q: send messages, function_call and function_call_output", at, exchange.Clip(item.Type))
		}
	}
	if len(all) == 0 {
		return nil, exchange.BadRequest("input", "there is no message in input: send at least one")
	}
	return all, nil
}

func callOf(item inputItem) (c chatToolCall) {
	c.ID, c.Function.Name, c.Function.Arguments = item.CallID, item.Name, item.Arguments
	return c
}

// within is an error of a message of a chat as one of an item of the input.
func within(err error, at string) error {
	p := exchange.ProblemOf(err)
	return exchange.BadRequest(at, "%s: %s", at, p.Said.Message)
}

func (c *responseRequest) tools(r *infer.Request) error {
	var list []exchange.ChatTool
	for i, t := range c.Tools {
		if t.Type != "function" {
			at := fmt.Sprintf("tools[%d].type", i)
			return exchange.BadRequest(at, "%s is %q: tools that the server runs are not to be had here, send functions", at, exchange.Clip(t.Type))
		}
		var one exchange.ChatTool
		one.Function.Name, one.Function.Description, one.Function.Parameters, one.Function.Strict = t.Name, t.Description, t.Parameters, t.Strict
		list = append(list, one)
	}
	var choose exchange.ToolChoice
	var named struct{ Type, Name string }
	switch {
	case len(c.Choice) == 0:
	case json.Unmarshal(c.Choice, &named) == nil && named.Name != "":
		choose = exchange.ToolChoice("function:" + named.Name)
	default:
		if err := choose.UnmarshalJSON(c.Choice); err != nil {
			return err
		}
	}
	return exchange.ChooseTools(r, list, choose)
}
