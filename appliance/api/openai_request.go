package api

import (
	"encoding/json"
	"math"
	"strings"

	"skerry/appliance/answer"
)

// common are the fields that chats and completions share.
type common struct {
	Model         string          `json:"model"`
	Stream        bool            `json:"stream"`
	StreamOptions *streamOptions  `json:"stream_options"`
	MaxTokens     *int            `json:"max_tokens"`
	Stop          stops           `json:"stop"`
	Seed          *seed           `json:"seed"`
	Temperature   *float32        `json:"temperature"`
	TopP          *float32        `json:"top_p"`
	Frequency     *float32        `json:"frequency_penalty"`
	Presence      *float32        `json:"presence_penalty"`
	N             *int            `json:"n"`
	LogitBias     json.RawMessage `json:"logit_bias"`
	// These are no fields of OpenAI's, but of others that speak its shape.
	TopK   *int     `json:"top_k"`
	MinP   *float32 `json:"min_p"`
	Repeat *float32 `json:"repeat_penalty"`
	Skerry extra    `json:"skerry"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (c *common) usageChunk() bool { return c.StreamOptions != nil && c.StreamOptions.IncludeUsage }

// options checks what it turns into the decoder's options.
func (c *common) options() (o answer.Options, err error) {
	if c.N != nil && *c.N != 1 {
		return o, bad("n", "n is %d: this server gives one answer a request, ask again for another", *c.N)
	}
	if c.StreamOptions != nil && !c.Stream {
		return o, bad("stream_options", "stream_options is only for streams: set stream to true or leave it out")
	}
	if given(c.LogitBias) {
		return o, bad("logit_bias", "logit_bias is not supported: leave it out")
	}
	for _, err := range []error{
		within("max_tokens", c.MaxTokens, 1, math.MaxInt32),
		within("temperature", c.Temperature, 0, 2),
		within("top_p", c.TopP, 0, 1),
		within("frequency_penalty", c.Frequency, -2, 2),
		within("presence_penalty", c.Presence, -2, 2),
		within("top_k", c.TopK, -1, math.MaxInt32),
		within("min_p", c.MinP, 0, 1),
		within("repeat_penalty", c.Repeat, 0, 10),
	} {
		if err != nil {
			return o, err
		}
	}
	if o.Stop, err = c.Stop.check(); err != nil {
		return o, err
	}
	o.MaxTokens = value(c.MaxTokens)
	o.Seed = (*uint64)(c.Seed)
	o.Temperature, o.TopP, o.TopK, o.MinP = c.Temperature, c.TopP, topK(c.TopK), c.MinP
	o.Frequency, o.Presence, o.Repeat = value(c.Frequency), value(c.Presence), value(c.Repeat)
	o.Mode = c.Skerry.Mode
	return o, nil
}

// topK has 0 for all tokens, for which others have -1 as well.
func topK(k *int) *int {
	if k == nil || *k >= 0 {
		return k
	}
	return new(int)
}

// value of a field that may be absent.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// chatRequest is the body of /v1/chat/completions.
type chatRequest struct {
	common
	Messages      []chatMessage   `json:"messages"`
	MaxCompletion *int            `json:"max_completion_tokens"`
	Logprobs      bool            `json:"logprobs"`
	TopLogprobs   *int            `json:"top_logprobs"`
	Tools         []chatTool      `json:"tools"`
	ToolChoice    toolChoice      `json:"tool_choice"`
	Parallel      *bool           `json:"parallel_tool_calls"`
	Format        *responseFormat `json:"response_format"`
	Modalities    []string        `json:"modalities"`
	Functions     json.RawMessage `json:"functions"`
	FunctionCall  json.RawMessage `json:"function_call"`
}

type responseFormat struct {
	Type   string `json:"type"`
	Schema struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

func (c *chatRequest) request() (r answer.Request, err error) {
	if given(c.Functions) || given(c.FunctionCall) {
		return r, bad("functions", "functions and function_call are of an older API: send tools and tool_choice")
	}
	for _, m := range c.Modalities {
		if m != "text" {
			return r, bad("modalities", "this server answers in text alone: set modalities to [\"text\"]")
		}
	}
	if c.MaxCompletion != nil {
		if err := within("max_completion_tokens", c.MaxCompletion, 1, math.MaxInt32); err != nil {
			return r, err
		}
		c.MaxTokens = c.MaxCompletion
	}
	if r.Options, err = c.options(); err != nil {
		return r, err
	}
	if err := within("top_logprobs", c.TopLogprobs, 0, 20); err != nil {
		return r, err
	}
	if value(c.TopLogprobs) > 0 && !c.Logprobs {
		return r, bad("top_logprobs", "top_logprobs needs logprobs: set it to true")
	}
	r.Logprobs, r.TopLogprobs = c.Logprobs, value(c.TopLogprobs)
	r.Model = c.Model
	if r.Messages, err = messages(c.Messages, c.Model); err != nil {
		return r, err
	}
	if err := c.format(&r); err != nil {
		return r, err
	}
	r.ParallelTools = c.Parallel == nil || *c.Parallel
	return r, chooseTools(&r, c.Tools, c.ToolChoice)
}

func (c *chatRequest) format(r *answer.Request) error {
	if c.Format == nil {
		return nil
	}
	switch c.Format.Type {
	case "text":
	case "json_object":
		r.Format = "json"
	case "json_schema":
		s := c.Format.Schema.Schema
		if len(s) == 0 || s[0] != '{' {
			return bad("response_format.json_schema.schema", "response_format.json_schema.schema must be an object: a JSON schema")
		}
		r.Format, r.Schema = "schema", s
	default:
		return bad("response_format.type", "response_format.type is %q: it must be text, json_object or json_schema", clip(c.Format.Type))
	}
	return nil
}

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	common
	Prompt   prompt          `json:"prompt"`
	Logprobs *int            `json:"logprobs"`
	Echo     bool            `json:"echo"`
	BestOf   *int            `json:"best_of"`
	Suffix   json.RawMessage `json:"suffix"`
}

// prompt is a string or a list of one.
type prompt struct{ text *string }

func (p *prompt) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &p.text) == nil {
		return nil
	}
	var list []string
	if json.Unmarshal(b, &list) != nil {
		return bad("prompt", "prompt must be a string or a list of one: token ids are not taken")
	}
	if len(list) != 1 {
		return bad("prompt", "prompt has %d strings: this server gives one answer a request, ask for each", len(list))
	}
	p.text = &list[0]
	return nil
}

func (c *completionRequest) request() (r answer.Request, err error) {
	if c.Prompt.text == nil || *c.Prompt.text == "" {
		return r, bad("prompt", "there is no prompt: send a string")
	}
	if c.Echo {
		return r, bad("echo", "echo is not supported: put the prompt before the answer yourself")
	}
	if c.BestOf != nil && *c.BestOf != 1 {
		return r, bad("best_of", "best_of is %d: this server gives one answer a request", *c.BestOf)
	}
	if given(c.Suffix) {
		return r, bad("suffix", "suffix is not supported: the model does not fill in the middle")
	}
	if err := within("logprobs", c.Logprobs, 0, 5); err != nil {
		return r, err
	}
	if r.Options, err = c.options(); err != nil {
		return r, err
	}
	if r.MaxTokens == 0 {
		r.MaxTokens = 16 // as OpenAI has it
	}
	r.Logprobs, r.TopLogprobs = c.Logprobs != nil, value(c.Logprobs)
	r.Model, r.Prompt, r.Raw = c.Model, strings.Clone(*c.Prompt.text), true
	return r, nil
}
