package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/answer"
)

// ollamaCommon are the fields that /api/generate and /api/chat share.
type ollamaCommon struct {
	Model       string          `json:"model"`
	Stream      *bool           `json:"stream"`
	Format      json.RawMessage `json:"format"`
	KeepAlive   *keepAlive      `json:"keep_alive"`
	Think       json.RawMessage `json:"think"`
	Options     ollamaOptions   `json:"options"`
	Logprobs    bool            `json:"logprobs"`
	TopLogprobs *int            `json:"top_logprobs"`
	Skerry      extra           `json:"skerry"`
}

// ollamaOptions that mean something here; others (threads, batches, devices) are
// the daemon's own business.
type ollamaOptions struct {
	NumCtx      *int     `json:"num_ctx"`
	NumPredict  *int     `json:"num_predict"`
	Seed        *seed    `json:"seed"`
	Temperature *float32 `json:"temperature"`
	TopK        *int     `json:"top_k"`
	TopP        *float32 `json:"top_p"`
	MinP        *float32 `json:"min_p"`
	Stop        stops    `json:"stop"`
	Repeat      *float32 `json:"repeat_penalty"`
	RepeatLast  *int     `json:"repeat_last_n"`
	Presence    *float32 `json:"presence_penalty"`
	Frequency   *float32 `json:"frequency_penalty"`
	// ToolChoice is no option of Ollama's: small models do not call unasked.
	ToolChoice toolChoice `json:"tool_choice"`
}

// keepAlive is a duration like "5m", or a number of seconds; negative: for ever.
type keepAlive time.Duration

func (k *keepAlive) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	d, err := time.ParseDuration(text)
	if seconds, e := strconv.ParseFloat(text, 64); e == nil && math.Abs(seconds) < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil {
		return bad("keep_alive", `keep_alive must be a duration like "5m" or a number of seconds`)
	}
	*k = keepAlive(d)
	return nil
}

func (c *ollamaCommon) streams() bool { return c.Stream == nil || *c.Stream }

// request has all but the messages and the prompt.
func (c *ollamaCommon) request() (r answer.Request, err error) {
	if c.Model == "" {
		return r, bad("model", "model is required")
	}
	if given(c.Think) {
		return r, bad("think", "%q does not support thinking: leave think out", clip(c.Model))
	}
	if err := within("top_logprobs", c.TopLogprobs, 0, 20); err != nil {
		return r, err
	}
	if r.Options, err = c.Options.options(); err != nil {
		return r, err
	}
	r.Model, r.Mode, r.ParallelTools = c.Model, c.Skerry.Mode, true
	r.Logprobs, r.TopLogprobs = c.Logprobs, value(c.TopLogprobs)
	switch f := string(c.Format); {
	case f == "" || f == "null" || f == `""`:
	case f == `"json"`:
		r.Format = "json"
	case f[0] == '{':
		r.Format, r.Schema = "schema", c.Format
	default:
		return r, bad("format", `format must be "json" or a JSON schema`)
	}
	return r, nil
}

func (p *ollamaOptions) options() (o answer.Options, err error) {
	for _, err := range []error{
		within("options.num_ctx", p.NumCtx, 0, math.MaxInt32),
		within("options.num_predict", p.NumPredict, -2, math.MaxInt32),
		within("options.temperature", p.Temperature, 0, 100),
		within("options.top_k", p.TopK, -1, math.MaxInt32),
		within("options.top_p", p.TopP, 0, 1),
		within("options.min_p", p.MinP, 0, 1),
		within("options.repeat_penalty", p.Repeat, 0, 10),
		within("options.repeat_last_n", p.RepeatLast, -1, math.MaxInt32),
		within("options.presence_penalty", p.Presence, -2, 2),
		within("options.frequency_penalty", p.Frequency, -2, 2),
	} {
		if err != nil {
			return o, err
		}
	}
	if o.Stop, err = p.Stop.check(); err != nil {
		return o, err
	}
	o.Context, o.MaxTokens = value(p.NumCtx), max(0, value(p.NumPredict)) // negative: to the end of the context
	if p.Seed != nil && *p.Seed != math.MaxUint64 {                       // -1: at random
		o.Seed = (*uint64)(p.Seed)
	}
	o.Temperature, o.TopP, o.TopK, o.MinP = p.Temperature, p.TopP, topK(p.TopK), p.MinP
	o.Repeat, o.PenaltyLast = value(p.Repeat), value(p.RepeatLast)
	if p.RepeatLast != nil && *p.RepeatLast == 0 {
		o.Repeat = 1 // looking back at nothing
	}
	o.Presence, o.Frequency = value(p.Presence), value(p.Frequency)
	return o, nil
}

// generateRequest is the body of /api/generate.
type generateRequest struct {
	ollamaCommon
	Prompt   string          `json:"prompt"`
	System   string          `json:"system"`
	Suffix   string          `json:"suffix"`
	Template string          `json:"template"`
	Context  json.RawMessage `json:"context"`
	Images   json.RawMessage `json:"images"`
	Raw      bool            `json:"raw"`
}

func (g *generateRequest) request() (r answer.Request, err error) {
	if r, err = g.ollamaCommon.request(); err != nil {
		return r, err
	}
	switch {
	case given(g.Images):
		return r, noVision("images", g.Model)
	case g.Suffix != "":
		return r, bad("suffix", "%q does not support insert: leave suffix out", clip(g.Model))
	case g.Template != "":
		return r, bad("template", "template is not supported: the model's own is used; send a whole prompt with raw set to true")
	case given(g.Context):
		return r, bad("context", "context is not supported: send the conversation to /api/chat")
	case g.Raw && g.System != "":
		return r, bad("system", "raw takes no system: put it into the prompt")
	}
	r.Raw, r.Prompt = g.Raw, g.Prompt
	if g.System != "" {
		r.Prompt, r.Messages = "", []answer.Message{{Role: "system", Content: g.System}, {Role: "user", Content: g.Prompt}}
	}
	return r, nil
}

// ollamaChatRequest is the body of /api/chat.
type ollamaChatRequest struct {
	ollamaCommon
	Messages []ollamaMessage `json:"messages"`
	Tools    []chatTool      `json:"tools"`
}

type ollamaMessage struct {
	Role      string          `json:"role"`
	Content   string          `json:"content"`
	Images    json.RawMessage `json:"images"`
	ToolName  string          `json:"tool_name"`
	ToolID    string          `json:"tool_call_id"`
	ToolCalls []struct {
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

func (c *ollamaChatRequest) request() (r answer.Request, err error) {
	if r, err = c.ollamaCommon.request(); err != nil {
		return r, err
	}
	for i, m := range c.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		if given(m.Images) {
			return r, noVision(at+".images", c.Model)
		}
		a := answer.Message{Role: strings.ToLower(m.Role), Content: m.Content, Name: m.ToolName, ToolCallID: m.ToolID}
		switch a.Role {
		case "system", "user", "assistant", "tool":
		default:
			return r, bad(at+".role", "%s.role is %q: it must be system, user, assistant or tool", at, clip(m.Role))
		}
		for _, t := range m.ToolCalls {
			if t.Function.Name == "" {
				return r, bad(at+".tool_calls", "a call in %s.tool_calls has no function.name", at)
			}
			a.ToolCalls = append(a.ToolCalls, answer.ToolCall{ID: t.ID, Name: t.Function.Name, Arguments: arguments(string(t.Function.Arguments))})
		}
		r.Messages = append(r.Messages, a)
	}
	return r, chooseTools(&r, c.Tools, c.Options.ToolChoice)
}
