package ollama

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// ollamaCommon are the fields that /api/generate and /api/chat share.
type ollamaCommon struct {
	Model       string            `json:"model"`
	Stream      *bool             `json:"stream"`
	Format      json.RawMessage   `json:"format"`
	KeepAlive   *keepAlive        `json:"keep_alive"`
	Options     ollamaOptions     `json:"options"`
	Logprobs    bool              `json:"logprobs"`
	TopLogprobs *exchange.Integer `json:"top_logprobs"`
	Skerry      exchange.Extra    `json:"skerry"`
	// Think is whether and how much the model is to think. Truncate has what does not fit
	// into the context left out.
	Think    json.RawMessage `json:"think"`
	Truncate *bool           `json:"truncate"`
	ignored  []infer.Ignored
}

// ollamaOptions that mean something here; others (threads, batches, devices) are
// the daemon's own business.
type ollamaOptions struct {
	NumCtx      *exchange.Integer `json:"num_ctx"`
	NumPredict  *exchange.Integer `json:"num_predict"`
	Seed        *exchange.Seed    `json:"seed"`
	Temperature *float32          `json:"temperature"`
	TopK        *exchange.Integer `json:"top_k"`
	TopP        *float32          `json:"top_p"`
	MinP        *float32          `json:"min_p"`
	Stop        exchange.Stops    `json:"stop"`
	Repeat      *float32          `json:"repeat_penalty"`
	RepeatLast  *exchange.Integer `json:"repeat_last_n"`
	Typical     *float32          `json:"typical_p"`
	Presence    *float32          `json:"presence_penalty"`
	Frequency   *float32          `json:"frequency_penalty"`
	// ToolChoice is no option of Ollama's: small models do not call unasked.
	ToolChoice exchange.ToolChoice `json:"tool_choice"`
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
		return exchange.BadRequest("keep_alive", `keep_alive must be a duration like "5m" or a number of seconds`)
	}
	*k = keepAlive(d)
	return nil
}

func (c *ollamaCommon) streams() bool { return c.Stream == nil || *c.Stream }

// request has all but the messages and the prompt.
func (c *ollamaCommon) request() (r infer.Request, err error) {
	if c.Model == "" {
		return r, exchange.BadRequest("model", "model is required")
	}
	if err := exchange.Within("top_logprobs", c.TopLogprobs, 0, 20); err != nil {
		return r, err
	}
	if r.Options, err = c.Options.options(); err != nil {
		return r, err
	}
	r.Model, r.Mode, r.ParallelTools = c.Model, c.Skerry.Mode, true
	r.Logprobs, r.TopLogprobs = c.Logprobs, int(exchange.Value(c.TopLogprobs))
	think := exchange.Thinking{Think: c.Think}
	if err := think.Apply(&r); err != nil {
		return r, err
	}
	return r, exchange.BindFormat(&r, "format", c.Format)
}

func (p *ollamaOptions) options() (o infer.Options, err error) {
	for _, err := range []error{
		exchange.Within("options.num_ctx", p.NumCtx, 0, math.MaxInt32),
		exchange.Within("options.num_predict", p.NumPredict, -2, math.MaxInt32),
		exchange.Within("options.temperature", p.Temperature, 0, 100),
		exchange.Within("options.top_k", p.TopK, -1, math.MaxInt32),
		exchange.Within("options.top_p", p.TopP, 0, 1),
		exchange.Within("options.min_p", p.MinP, 0, 1),
		exchange.Within("options.repeat_penalty", p.Repeat, 0, 10),
		exchange.Within("options.repeat_last_n", p.RepeatLast, -1, math.MaxInt32),
		exchange.Within("options.typical_p", p.Typical, 0, 1),
		exchange.Within("options.presence_penalty", p.Presence, -2, 2),
		exchange.Within("options.frequency_penalty", p.Frequency, -2, 2),
	} {
		if err != nil {
			return o, err
		}
	}
	if o.Stop, err = p.Stop.Check(); err != nil {
		return o, err
	}
	o.Context, o.MaxTokens = int(exchange.Value(p.NumCtx)), max(0, int(exchange.Value(p.NumPredict))) // negative: to the end of the context
	if p.Seed != nil && *p.Seed != math.MaxUint64 {                                                   // -1: at random
		o.Seed = (*uint64)(p.Seed)
	}
	o.Temperature, o.TopP, o.TopK, o.MinP = p.Temperature, p.TopP, exchange.TopK(p.TopK), p.MinP
	o.Repeat, o.Typical = exchange.Value(p.Repeat), exchange.Value(p.Typical)
	o.Presence, o.Frequency = exchange.Value(p.Presence), exchange.Value(p.Frequency)
	exchange.LookBack(&o, p.RepeatLast)
	return o, nil
}

// generateRequest is the body of /api/generate.
type generateRequest struct {
	ollamaCommon
	Prompt string          `json:"prompt"`
	System string          `json:"system"`
	Suffix string          `json:"suffix"`
	Images json.RawMessage `json:"images"`
	Raw    bool            `json:"raw"`
}

func (g *generateRequest) request() (r infer.Request, err error) {
	if r, err = g.ollamaCommon.request(); err != nil {
		return r, err
	}
	switch {
	case exchange.Given(g.Images) && (g.Raw || g.Suffix != ""):
		return r, exchange.BadRequest("images", "images cannot be combined with raw or suffix: send a prompt alone, which the model's template then takes them into")
	case g.Suffix != "" && (g.System != "" || g.Raw):
		return r, exchange.BadRequest("suffix", "suffix cannot be combined with system or raw: send prompt and suffix alone")
	case g.Raw && g.System != "":
		return r, exchange.BadRequest("system", "raw cannot be combined with system: put it into the prompt")
	}
	r.SplitThoughts = r.SplitThoughts && !g.Raw
	r.Raw, r.Prompt, r.Suffix = g.Raw || g.Suffix != "", g.Prompt, g.Suffix
	images, err := imagesOf(g.Images, "images")
	if err != nil {
		return r, err
	}
	if len(images) > 0 {
		r.Prompt, r.Messages = "", []infer.Message{{Role: "user", Content: g.Prompt, Images: images}}
		if g.System != "" {
			r.Messages = append([]infer.Message{{Role: "system", Content: g.System}}, r.Messages...)
		}
		return r, nil
	}
	if g.System != "" {
		r.Prompt, r.Messages = "", []infer.Message{{Role: "system", Content: g.System}, {Role: "user", Content: g.Prompt}}
	}
	return r, nil
}

// imagesOf are the images before a text, each a file in base64.
func imagesOf(raw json.RawMessage, param string) (all []infer.Image, err error) {
	if !exchange.Given(raw) {
		return nil, nil
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return nil, exchange.BadRequest(param, "%s must be a list of images in base64", param)
	}
	for _, source := range list {
		all = append(all, infer.Image{Source: source, Param: param})
	}
	return all, nil
}

// ollamaChatRequest is the body of /api/chat.
type ollamaChatRequest struct {
	ollamaCommon
	Messages []ollamaMessage     `json:"messages"`
	Tools    []exchange.ChatTool `json:"tools"`
	// Choice is no field of Ollama's; many send it all the same.
	Choice exchange.ToolChoice `json:"tool_choice"`
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

func (c *ollamaChatRequest) request() (r infer.Request, err error) {
	if r, err = c.ollamaCommon.request(); err != nil {
		return r, err
	}
	for i, m := range c.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		images, err := imagesOf(m.Images, at+".images")
		if err != nil {
			return r, err
		}
		a := infer.Message{Images: images, Role: strings.ToLower(m.Role), Content: m.Content, Name: m.ToolName, ToolCallID: m.ToolID}
		switch a.Role {
		case "system", "user", "assistant", "tool":
		default:
			return r, exchange.BadRequest(at+".role", "%s.role is %q: it must be system, user, assistant or tool", at, exchange.Clip(m.Role))
		}
		for _, t := range m.ToolCalls {
			if t.Function.Name == "" {
				return r, exchange.BadRequest(at+".tool_calls", "a call in %s.tool_calls has no function.name", at)
			}
			a.ToolCalls = append(a.ToolCalls, infer.ToolCall{ID: t.ID, Name: t.Function.Name, Arguments: exchange.Arguments(string(t.Function.Arguments))})
		}
		r.Messages = append(r.Messages, a)
	}
	if n := len(r.Messages); n > 0 && r.Messages[n-1].Role == "assistant" && len(r.Messages[n-1].ToolCalls) == 0 {
		r.Continue = true
	}
	return r, exchange.ChooseTools(&r, c.Tools, cmp.Or(c.Choice, c.Options.ToolChoice))
}
