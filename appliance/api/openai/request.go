package openai

import (
	"encoding/json"
	"math"
	"strings"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// common are the fields that chats and completions share.
type common struct {
	Model         string            `json:"model"`
	Stream        bool              `json:"stream"`
	StreamOptions *streamOptions    `json:"stream_options"`
	MaxTokens     *exchange.Integer `json:"max_tokens"`
	Stop          exchange.Stops    `json:"stop"`
	Seed          *exchange.Seed    `json:"seed"`
	Temperature   *float32          `json:"temperature"`
	TopP          *float32          `json:"top_p"`
	Frequency     *float32          `json:"frequency_penalty"`
	Presence      *float32          `json:"presence_penalty"`
	// These are no fields of OpenAI's, but of others that speak its shape.
	TopK   *exchange.Integer `json:"top_k"`
	MinP   *float32          `json:"min_p"`
	Repeat *float32          `json:"repeat_penalty"`
	Skerry exchange.Extra    `json:"skerry"`
	// Format is Ollama's, JSONSchema llama-server's and GuidedJSON vLLM's.
	Response   *responseFormat `json:"response_format"`
	Format     json.RawMessage `json:"format"`
	JSONSchema json.RawMessage `json:"json_schema"`
	GuidedJSON json.RawMessage `json:"guided_json"`
	ignored    []infer.Ignored
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (c *common) usageChunk() bool { return c.StreamOptions != nil && c.StreamOptions.IncludeUsage }

// options checks what it turns into the decoder's options.
func (c *common) options() (o infer.Options, err error) {
	if c.StreamOptions != nil && !c.Stream {
		return o, exchange.BadRequest("stream_options", "stream_options is only for streams: set stream to true or leave it out")
	}
	for _, err := range []error{
		exchange.Within("max_tokens", c.MaxTokens, 1, math.MaxInt32),
		exchange.Within("temperature", c.Temperature, 0, 2),
		exchange.Within("top_p", c.TopP, 0, 1),
		exchange.Within("frequency_penalty", c.Frequency, -2, 2),
		exchange.Within("presence_penalty", c.Presence, -2, 2),
		exchange.Within("top_k", c.TopK, -1, math.MaxInt32),
		exchange.Within("min_p", c.MinP, 0, 1),
		exchange.Within("repeat_penalty", c.Repeat, 0, 10),
	} {
		if err != nil {
			return o, err
		}
	}
	if o.Stop, err = c.Stop.Check(); err != nil {
		return o, err
	}
	o.MaxTokens = int(exchange.Value(c.MaxTokens))
	o.Seed = (*uint64)(c.Seed)
	o.Temperature, o.TopP, o.TopK, o.MinP = c.Temperature, c.TopP, exchange.TopK(c.TopK), c.MinP
	o.Frequency, o.Presence, o.Repeat = exchange.Value(c.Frequency), exchange.Value(c.Presence), exchange.Value(c.Repeat)
	o.Mode = c.Skerry.Mode
	return o, nil
}

// chatRequest is the body of /v1/chat/completions.
type chatRequest struct {
	common
	Messages      []chatMessage       `json:"messages"`
	MaxCompletion *exchange.Integer   `json:"max_completion_tokens"`
	Logprobs      bool                `json:"logprobs"`
	TopLogprobs   *exchange.Integer   `json:"top_logprobs"`
	Tools         []exchange.ChatTool `json:"tools"`
	ToolChoice    exchange.ToolChoice `json:"tool_choice"`
	Parallel      *bool               `json:"parallel_tool_calls"`
}

func (c *chatRequest) request() (r infer.Request, err error) {
	if c.MaxCompletion != nil {
		if err := exchange.Within("max_completion_tokens", c.MaxCompletion, 1, math.MaxInt32); err != nil {
			return r, err
		}
		c.MaxTokens = c.MaxCompletion
	}
	if r.Options, err = c.options(); err != nil {
		return r, err
	}
	if err := exchange.Within("top_logprobs", c.TopLogprobs, 0, 20); err != nil {
		return r, err
	}
	if exchange.Value(c.TopLogprobs) > 0 && !c.Logprobs {
		return r, exchange.BadRequest("top_logprobs", "top_logprobs needs logprobs: set it to true")
	}
	r.Logprobs, r.TopLogprobs = c.Logprobs, int(exchange.Value(c.TopLogprobs))
	r.Model = c.Model
	if r.Messages, err = messages(c.Messages, c.Model); err != nil {
		return r, err
	}
	if err := c.bind(&r, c.Response); err != nil {
		return r, err
	}
	r.ParallelTools = c.Parallel == nil || *c.Parallel
	return r, exchange.ChooseTools(&r, c.Tools, c.ToolChoice)
}

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	common
	Prompt   prompt            `json:"prompt"`
	Logprobs *exchange.Integer `json:"logprobs"`
	Suffix   string            `json:"suffix"`
}

// prompt is a string or a list of one.
type prompt struct{ text *string }

func (p *prompt) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &p.text) == nil {
		return nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return exchange.BadRequest("prompt", "prompt must be a string or a list of one: token ids are not supported")
	}
	if len(list) != 1 {
		return exchange.BadRequest("prompt", "prompt has %d strings: this server gives one answer per request; send one request for each", len(list))
	}
	p.text = &list[0]
	return nil
}

func (c *completionRequest) request() (r infer.Request, err error) {
	before := exchange.Value(c.Prompt.text)
	if before == "" && c.Suffix == "" {
		return r, exchange.BadRequest("prompt", "there is no prompt: send a string")
	}
	if err := exchange.Within("logprobs", c.Logprobs, 0, 5); err != nil {
		return r, err
	}
	if r.Options, err = c.options(); err != nil {
		return r, err
	}
	if err := c.bind(&r, c.Response); err != nil {
		return r, err
	}
	if r.MaxTokens == 0 {
		r.MaxTokens = 16 // as OpenAI has it
	}
	r.Logprobs, r.TopLogprobs = c.Logprobs != nil, int(exchange.Value(c.Logprobs))
	r.Model, r.Prompt, r.Suffix, r.Raw = c.Model, strings.Clone(before), c.Suffix, true
	return r, nil
}
