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
	exchange.Rarer
	N        *exchange.Integer `json:"n"`
	Progress bool              `json:"return_progress"` // llama-server's
	NCmpl    *exchange.Integer `json:"n_cmpl"`          // llama-server's
	NPredict *exchange.Integer `json:"n_predict"`       // llama-server's
	// Format is Ollama's, JSONSchema llama-server's and GuidedJSON vLLM's.
	Response   *responseFormat `json:"response_format"`
	Format     json.RawMessage `json:"format"`
	JSONSchema json.RawMessage `json:"json_schema"`
	GuidedJSON json.RawMessage `json:"guided_json"`
	// Grammar is llama-server's, the others are vLLM's.
	Grammar       string             `json:"grammar"`
	GuidedGrammar string             `json:"guided_grammar"`
	GuidedChoice  []string           `json:"guided_choice"`
	Structured    *structuredOutputs `json:"structured_outputs"`
	ignored       []infer.Ignored
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
		tokensWithin("max_tokens", c.MaxTokens),
		tokensWithin("n_predict", c.NPredict),
		exchange.Within("n", c.N, 1, mostChoices),
		exchange.Within("n_cmpl", c.NCmpl, 1, mostChoices),
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
	if c.MaxTokens == nil {
		c.MaxTokens = c.NPredict
	}
	if c.N == nil {
		c.N = c.NCmpl
	}
	o.MaxTokens = max(0, int(exchange.Value(c.MaxTokens))) // negative: to the end of the context
	o.Seed = (*uint64)(c.Seed)
	o.Temperature, o.TopP, o.TopK, o.MinP = c.Temperature, c.TopP, exchange.TopK(c.TopK), c.MinP
	o.Frequency, o.Presence, o.Repeat = exchange.Value(c.Frequency), exchange.Value(c.Presence), exchange.Value(c.Repeat)
	o.Mode = c.Skerry.Mode
	return o, c.Rarer.Apply(&o)
}

// mostChoices of one prompt, and mostAnswers of one request.
const (
	mostChoices = 16
	mostAnswers = 64
)

// tokensWithin checks how long an answer may be: -1 and, as llama.cpp has it, -2 are for one
// up to the end of the context.
func tokensWithin(param string, n *exchange.Integer) error {
	if n != nil && *n == 0 {
		return exchange.BadRequest(param, "%s is 0: it must be from 1 to %d, or -1 for all that fits", param, math.MaxInt32)
	}
	return exchange.Within(param, n, -2, math.MaxInt32)
}

// choices are the requests for n answers to one prompt, each with a seed of its own.
func (c *common) choices(q infer.Request) (all []infer.Request) {
	for i := range max(1, int(exchange.Value(c.N))) {
		one := q
		if q.Seed != nil && i > 0 {
			seed := *q.Seed + uint64(i)
			one.Seed = &seed
		}
		all = append(all, one)
	}
	return all
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
	exchange.Thinking
	ContinueFinal *bool `json:"continue_final_message"` // vLLM's, and so is the next
	AddGeneration *bool `json:"add_generation_prompt"`
}

func (c *chatRequest) request() (r infer.Request, err error) {
	if c.MaxCompletion != nil {
		if err := tokensWithin("max_completion_tokens", c.MaxCompletion); err != nil {
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
	if r.Messages, err = messages(c.Messages); err != nil {
		return r, err
	}
	if err := c.bind(&r, c.Response); err != nil {
		return r, err
	}
	r.ParallelTools = c.Parallel == nil || *c.Parallel
	if err := c.goesOn(&r); err != nil {
		return r, err
	}
	if err := c.Thinking.Apply(&r); err != nil {
		return r, err
	}
	return r, exchange.ChooseTools(&r, c.Tools, c.ToolChoice)
}

// goesOn has the answer go on with a last message of the assistant's, unless the client
// says otherwise.
func (c *chatRequest) goesOn(r *infer.Request) error {
	last := r.Messages[len(r.Messages)-1]
	can := last.Role == "assistant" && len(last.ToolCalls) == 0
	switch {
	case can && c.ContinueFinal == nil && !exchange.Value(c.AddGeneration):
		r.Continue = true
	case can && exchange.Value(c.ContinueFinal):
		if r.Continue = true; exchange.Value(c.AddGeneration) {
			return exchange.BadRequest("continue_final_message", "continue_final_message and add_generation_prompt exclude one another: send one of them")
		}
	case !can && exchange.Value(c.ContinueFinal):
		return exchange.BadRequest("continue_final_message", "continue_final_message needs a last message of the assistant's, without tool calls")
	case c.AddGeneration != nil && !*c.AddGeneration:
		return exchange.BadRequest("add_generation_prompt", "add_generation_prompt can be false only where the last message is the assistant's, to go on with it: leave it out")
	}
	return nil
}

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	common
	Prompt   prompts           `json:"prompt"`
	Logprobs *exchange.Integer `json:"logprobs"`
	Suffix   string            `json:"suffix"`
	Echo     bool              `json:"echo"`
	BestOf   *exchange.Integer `json:"best_of"`
}

// prompts are one or several, each a string or a list of token ids.
type prompts []prompt

type prompt struct {
	text   string
	tokens []int32
}

func (p *prompts) UnmarshalJSON(b []byte) error {
	var text *string
	var tokens []int32
	var texts []string
	var lists [][]int32
	*p = nil
	switch {
	case json.Unmarshal(b, &text) == nil:
		if text != nil {
			*p = prompts{{text: *text}}
		}
	case json.Unmarshal(b, &texts) == nil:
		for _, t := range texts {
			*p = append(*p, prompt{text: t})
		}
	case json.Unmarshal(b, &tokens) == nil:
		*p = prompts{{tokens: tokens}}
	case json.Unmarshal(b, &lists) == nil:
		for _, l := range lists {
			*p = append(*p, prompt{tokens: l})
		}
	default:
		return exchange.BadRequest("prompt", "prompt must be a string, a list of strings, a list of token ids or a list of those")
	}
	return nil
}

// request is that of the first prompt; requests has all.
func (c *completionRequest) request() (r infer.Request, err error) {
	all, err := c.requests()
	if err != nil {
		return r, err
	}
	return all[0], nil
}

func (c *completionRequest) requests() (all []infer.Request, err error) {
	if len(c.Prompt) == 0 && c.Suffix != "" {
		c.Prompt = prompts{{}}
	}
	if len(c.Prompt) == 0 {
		return nil, exchange.BadRequest("prompt", "there is no prompt: send a string")
	}
	for _, p := range c.Prompt {
		switch {
		case p.text == "" && len(p.tokens) == 0 && c.Suffix == "":
			return nil, exchange.BadRequest("prompt", "there is no prompt: send a string")
		case len(p.tokens) > 0 && c.Suffix != "":
			return nil, exchange.BadRequest("suffix", "suffix needs a prompt of text: send a string")
		case len(p.tokens) > 0 && c.Echo:
			return nil, exchange.BadRequest("echo", "echo needs a prompt of text: send a string")
		}
	}
	if c.Echo && c.Logprobs != nil {
		return nil, exchange.BadRequest("echo", "echo cannot be combined with logprobs: there are none of a prompt; leave one out")
	}
	if err := exchange.Within("logprobs", c.Logprobs, 0, 5); err != nil {
		return nil, err
	}
	var r infer.Request
	if r.Options, err = c.options(); err != nil {
		return nil, err
	}
	if c.BestOf != nil && *c.BestOf != max(1, exchange.Value(c.N)) {
		return nil, exchange.BadRequest("best_of", "best_of is %d: answers are not compared here; set n instead, or best_of to the same", *c.BestOf)
	}
	if err := c.bind(&r, c.Response); err != nil {
		return nil, err
	}
	if r.MaxTokens == 0 && c.MaxTokens == nil {
		r.MaxTokens = 16 // as OpenAI has it
	}
	r.Logprobs, r.TopLogprobs = c.Logprobs != nil, int(exchange.Value(c.Logprobs))
	r.Model, r.Suffix, r.Raw = c.Model, c.Suffix, true
	if n := len(c.Prompt) * max(1, int(exchange.Value(c.N))); n > mostAnswers {
		return nil, exchange.BadRequest("prompt", "the request is for %d answers: ask for at most %d at once", n, mostAnswers)
	}
	for _, p := range c.Prompt {
		r.Prompt, r.PromptTokens = strings.Clone(p.text), p.tokens
		all = append(all, c.choices(r)...)
	}
	return all, nil
}
