// Package answer is the neutral form of a question and its answer: what the HTTP
// handlers turn OpenAI's and Ollama's shapes into, and what the daemon decodes. It
// is a leaf: it imports nothing of the program.
package answer

import (
	"encoding/json"
	"time"
)

// Request is one question.
type Request struct {
	// Model by name, "" for the one that is loaded.
	Model string `json:"model,omitempty"`
	// Session keeps the answer under this name, to be resumed and asked on; ""
	// forgets it once it is whole.
	Session string `json:"session,omitempty"`
	// Client names who asks, for fairness and the page: a key's name, an address,
	// or "local".
	Client string `json:"client,omitempty"`

	// Messages of a chat, or Prompt; with Raw the prompt goes in without the chat
	// template (completions), else as a user's message (Ollama's generate).
	Messages []Message `json:"messages,omitempty"`
	Prompt   string    `json:"prompt,omitempty"`
	Raw      bool      `json:"raw,omitempty"`
	Tools    []Tool    `json:"tools,omitempty"`
	// ToolChoice is "auto" (or ""), "none", "required", or the name of a tool
	// behind "function:".
	ToolChoice string `json:"tool_choice,omitempty"`
	// ParallelTools allows several calls in one answer.
	ParallelTools bool `json:"parallel_tools,omitempty"`
	// Format is "" (text), "json" (any JSON object) or "schema" with Schema.
	Format string          `json:"format,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`

	Options
}

// Options of the decoding. The zero value is the daemon's configuration.
type Options struct {
	MaxTokens   int      `json:"max_tokens,omitempty"` // 0: up to the end of the context
	Stop        []string `json:"stop,omitempty"`       // the answer ends before the first of these
	Seed        *uint64  `json:"seed,omitempty"`       // nil: drawn at random, and told in Truth
	Temperature *float32 `json:"temperature,omitempty"`
	TopP        *float32 `json:"top_p,omitempty"`
	TopK        *int     `json:"top_k,omitempty"`
	MinP        *float32 `json:"min_p,omitempty"`
	Repeat      float32  `json:"repeat_penalty,omitempty"`
	PenaltyLast int      `json:"penalty_last_n,omitempty"`
	Frequency   float32  `json:"frequency_penalty,omitempty"`
	Presence    float32  `json:"presence_penalty,omitempty"`
	// Logprobs wants the log probability of each token, and of the TopLogprobs
	// likeliest beside it.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
	// Context asks for so many positions (Ollama's num_ctx); more than the daemon
	// has is a BadRequest, 0 takes what there is.
	Context int `json:"context,omitempty"`
	// Mode, "" for the daemon's.
	Mode string `json:"mode,omitempty"`
}

// Message is one turn of a chat.
type Message struct {
	Role       string     `json:"role"` // system, user, assistant, tool
	Content    string     `json:"content"`
	Name       string     `json:"name,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// Tool is a function the model may call.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a JSON schema
}

// ToolCall is a call the model has made.
type ToolCall struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// Kind of an Event.
type Kind string

// The kinds.
const (
	Queued  Kind = "queued"  // Event.Queue are before this one
	Prefill Kind = "prefill" // Event.Done of Event.Total positions of the prompt are computed
	Rewind  Kind = "rewind"  // on a resumed stream: what was sent after Index tokens is void
	Text    Kind = "text"    // Event.Text, said by Event.Tokens
	Tools   Kind = "tools"   // Event.Calls, whole or as they grow, after Event.Text, both said by Event.Tokens
	End     Kind = "end"     // the last: Finish, Usage and Truth are set
)

// Event of an answer. Index counts the answer's tokens that this event and all
// before it cover: it is the event id by which a stream is resumed.
type Event struct {
	Kind   Kind        `json:"kind"`
	Index  int         `json:"index"`
	Queue  int         `json:"queue,omitempty"`
	Done   int         `json:"done,omitempty"`
	Total  int         `json:"total,omitempty"`
	Text   string      `json:"text,omitempty"`
	Tokens []Token     `json:"tokens,omitempty"`
	Calls  []CallDelta `json:"calls,omitempty"`
	// Of End.
	Finish Finish `json:"finish,omitempty"`
	Err    error  `json:"-"` // why it ended early; Finish is then Failed
	Usage  Usage  `json:"usage"`
	Truth  *Truth `json:"skerry,omitempty"`
}

// CallDelta is a piece of a tool call: ID and Name in its first, Arguments to be
// joined over all of them.
type CallDelta struct {
	Index     int    `json:"index"` // of the call in the answer
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments,omitempty"`
}

// Finish says why an answer ended.
type Finish string

// The ends.
const (
	Stop      Finish = "stop"       // the model ended it, or a stop string was met
	Length    Finish = "length"     // MaxTokens or the context
	ToolCalls Finish = "tool_calls" // it ends with calls
	Cancelled Finish = "cancelled"  // the client or an operator stopped it
	Failed    Finish = "error"
)

// Token is one token as it was said. Its text lies in the event's, whole
// characters only.
type Token struct {
	ID         int32   `json:"id"`
	Text       string  `json:"text"`
	Source     string  `json:"source"` // exit1, exit2, cloud, fallback, unsplit
	Verified   bool    `json:"verified"`
	Confidence float64 `json:"confidence"`
	Margin     float64 `json:"margin"`
	WaitMS     float64 `json:"wait_ms"`
	Why        string  `json:"why_not_asked,omitempty"`
	// Logprob and Top where Logprobs was asked for: natural logarithms of
	// probabilities before any filter. Bytes are the token's own.
	Logprob float64   `json:"logprob,omitempty"`
	Bytes   []byte    `json:"bytes,omitempty"`
	Top     []Logprob `json:"top,omitempty"`
}

// Logprob of one candidate.
type Logprob struct {
	ID      int32   `json:"id"`
	Text    string  `json:"text"`
	Bytes   []byte  `json:"bytes"`
	Logprob float64 `json:"logprob"`
}

// Usage in tokens and times.
type Usage struct {
	Prompt     int           `json:"prompt_tokens"`
	Cached     int           `json:"cached_tokens"` // of the prompt, not computed anew
	Completion int           `json:"completion_tokens"`
	Queued     time.Duration `json:"queued_ns"`
	Prefill    time.Duration `json:"prefill_ns"`
	Decode     time.Duration `json:"decode_ns"`
	Total      time.Duration `json:"total_ns"`
	Load       time.Duration `json:"load_ns"` // waited for the model to load
}

// Truth is what no other server tells: the one extra field, "skerry", of every
// reply.
type Truth struct {
	Answer    string         `json:"answer"` // id, for Last-Event-ID
	Session   string         `json:"session,omitempty"`
	Mode      string         `json:"mode"`
	Seed      uint64         `json:"seed"`
	Sources   map[string]int `json:"tokens_by_source"`
	Asks      int            `json:"asks"`
	BytesUp   uint64         `json:"bytes_up"`
	BytesDown uint64         `json:"bytes_down"`
	WaitMS    float64        `json:"wait_ms"` // for the cloud, over all tokens
	Why       map[string]int `json:"why_not_asked,omitempty"`
	Resumed   int            `json:"resumed,omitempty"` // tokens said before a restart
	Changes   []Change       `json:"mode_changes,omitempty"`
	Lost      string         `json:"lost,omitempty"` // why the cloud was first lost
}

// Change of mode in mid-answer.
type Change struct {
	At     int    `json:"at"`
	To     string `json:"to"`
	Reason string `json:"reason"`
}
