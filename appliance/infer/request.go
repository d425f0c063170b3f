package infer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Request is one prompt or conversation to be answered.
type Request struct {
	// Model by name, "" for the default.
	Model string `json:"model,omitempty"`
	// Session keeps the answer under this name, to be resumed and asked on; ""
	// forgets it once it is whole.
	Session string `json:"session,omitempty"`
	// Unnamed says that whoever asked has not chosen the name of Session, and so knows it only
	// by the answer: that ends when its reader goes, as one without a session does, and is
	// given without a session where it cannot be kept in one.
	Unnamed bool `json:"-"`
	// Follows is the answer of Session from whose conversation Messages go on. Where another
	// one came since, that is a Conflict. "": it does not matter which one it is.
	Follows string `json:"-"`
	// KeepAlive is how long the model stays loaded after this answer: < 0 for ever, 0 not at
	// all, nil as configured. It holds until the next request, which says it anew.
	KeepAlive *time.Duration `json:"keep_alive,omitempty"`
	// Client names who asks, for fairness and the page: a key's name, an address,
	// or "local".
	Client string `json:"client,omitempty"`
	By     By     `json:"-"`

	// Messages of a chat, or Prompt; with Raw the prompt goes in without the chat
	// template (completions), its control tokens meant, else as a user's message
	// (Ollama's generate).
	Messages []Message `json:"messages,omitempty"`
	// After has Messages go on from the conversation that Session keeps, so that only what
	// is new is sent: behind that many of its messages, which drops those that follow them,
	// or behind all of them where it is negative. nil: Messages are the whole conversation.
	After  *int   `json:"after,omitempty"`
	Prompt string `json:"prompt,omitempty"`
	Raw    bool   `json:"raw,omitempty"`
	// PromptTokens are the prompt where it came as tokens; they go in as they are.
	PromptTokens []int32 `json:"prompt_tokens,omitempty"`
	// Continue has the answer go on with the last message, which is the assistant's.
	Continue bool `json:"continue,omitempty"`
	// TemplateArgs are variables of the chat template, as enable_thinking: strings, numbers
	// and booleans.
	TemplateArgs map[string]any `json:"template_args,omitempty"`
	// SplitThoughts has what stands between <think> and </think> at the beginning of the
	// answer come as Event.Thought, and not as Text.
	SplitThoughts bool `json:"split_thoughts,omitempty"`
	// Suffix, with Raw, is what follows: the answer is what stands between Prompt and it.
	Suffix string `json:"suffix,omitempty"`
	Tools  []Tool `json:"tools,omitempty"`
	// ToolChoice is "auto" (or ""), "none", "required", or the name of a tool
	// behind "function:".
	ToolChoice string `json:"tool_choice,omitempty"`
	// ParallelTools allows several calls in one answer.
	ParallelTools bool `json:"parallel_tools,omitempty"`
	// Format is "" (text), "json" (any JSON object), "schema" with Schema, "grammar" with
	// Grammar, which is GBNF, or "choice" with Choices, of which the answer is one.
	Format  string          `json:"format,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"`
	Grammar string          `json:"grammar,omitempty"`
	Choices []string        `json:"choices,omitempty"`
	// BestEffort leaves out of Schema what cannot be enforced, else a BadRequest.
	BestEffort bool `json:"best_effort,omitempty"`

	Options
}

// By says whose sessions a request may use. The zero value may use those that this
// machine itself has made.
type By struct {
	Owner string // the name of a key, "" for this machine
	Every bool   // those of all others as well
}

// May says whether sessions of an owner may be used.
func (b By) May(owner string) bool { return b.Every || b.Owner == owner }

// Options of the decoding. The zero value is the daemon's configuration.
type Options struct {
	MaxTokens   int      `json:"max_tokens,omitempty"` // 0: up to the end of the context
	Stop        []string `json:"stop,omitempty"`       // the answer ends before the first of these
	Seed        *uint64  `json:"seed,omitempty"`       // nil: drawn at random, and told in Provenance
	Temperature *float32 `json:"temperature,omitempty"`
	TopP        *float32 `json:"top_p,omitempty"`
	TopK        *int     `json:"top_k,omitempty"`
	MinP        *float32 `json:"min_p,omitempty"`
	Repeat      float32  `json:"repeat_penalty,omitempty"`
	PenaltyLast int      `json:"penalty_last_n,omitempty"` // -1: the whole context
	Frequency   float32  `json:"frequency_penalty,omitempty"`
	Presence    float32  `json:"presence_penalty,omitempty"`
	Filters
	// MinTokens is before how many tokens the answer does not end; IgnoreEnd has it go on to
	// MaxTokens. With a Format neither can be.
	MinTokens int  `json:"min_tokens,omitempty"`
	IgnoreEnd bool `json:"ignore_eos,omitempty"`
	// Logprobs wants the log probability of each token, and of the TopLogprobs
	// likeliest beside it.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
	// Context asks for so many positions (Ollama's num_ctx). It is a wish: where the
	// daemon has fewer the answer is given within those, and Provenance.Notes says so.
	// 0 takes what there is.
	Context int `json:"context,omitempty"`
	// Mode, "" for the daemon's.
	Mode Mode `json:"mode,omitempty"`
	// Draft says which drafts are checked in a mode that checks drafts, "" for the daemon's.
	Draft Drafting `json:"draft,omitempty"`
}

// Message is one turn of a chat.
type Message struct {
	Role       string     `json:"role"` // system, user, assistant, tool
	Content    string     `json:"content"`
	Name       string     `json:"name,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	// Images stand in the content, in the order in which they are read.
	Images []Image `json:"images,omitempty"`
}

// Image is a picture in a message: a PNG, JPEG, WebP or GIF file.
type Image struct {
	At   int    `json:"at"` // the byte of the content that it stands before
	Data []byte `json:"data,omitempty"`
	// Sum is the sha256 of Data in hex where that is kept with a session and not here.
	Sum string `json:"sum,omitempty"`
	// Source is what a client wrote in place of Data: base64, or a data: address. Param is the
	// field of the request that it stood in.
	Source string `json:"-"`
	Param  string `json:"-"`
}

// HasImages says whether there is a picture in any of the messages.
func HasImages(messages []Message) bool {
	return slices.ContainsFunc(messages, func(m Message) bool { return len(m.Images) > 0 })
}

// WithoutImages are the messages as text alone.
func WithoutImages(messages []Message) []Message {
	if !HasImages(messages) {
		return messages
	}
	messages = slices.Clone(messages)
	for i := range messages {
		messages[i].Images = nil
	}
	return messages
}

// ImageSums are the messages with the sums of their images in place of the data.
func ImageSums(messages []Message) []Message {
	if !HasImages(messages) {
		return messages
	}
	messages = slices.Clone(messages)
	for i := range messages {
		images := make([]Image, len(messages[i].Images))
		for k, img := range messages[i].Images {
			images[k] = Image{At: img.At, Sum: img.Sum}
			if len(img.Data) > 0 {
				sum := sha256.Sum256(img.Data)
				images[k].Sum = hex.EncodeToString(sum[:])
			}
		}
		if messages[i].Images = images; len(images) == 0 {
			messages[i].Images = nil
		}
	}
	return messages
}

// Tool is a function the model may call.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a JSON schema; none: no arguments
	// Strict refuses parameters that cannot be enforced, else that is left out.
	Strict bool `json:"strict,omitempty"`
}

// ToolCall is a call the model has made.
type ToolCall struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}
