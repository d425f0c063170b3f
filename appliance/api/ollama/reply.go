package ollama

import (
	"cmp"
	"encoding/json"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// ollamaReply is a line, or the whole, of a reply of /api/generate or /api/chat.
type ollamaReply struct {
	Model    string                 `json:"model"`
	Created  time.Time              `json:"created_at"`
	Response *string                `json:"response,omitempty"` // of generate
	Thinking string                 `json:"thinking,omitempty"` // of generate
	Message  *ollamaSaid            `json:"message,omitempty"`  // of chat
	Logprobs []exchange.ChatLogprob `json:"logprobs,omitempty"`
	Done     bool                   `json:"done"`
	Reason   string                 `json:"done_reason,omitempty"`
	// Of lines before the answer, which have no text.
	Queue    int                `json:"queue,omitempty"`
	Progress *exchange.Progress `json:"prompt_progress,omitempty"`
	*timings                    // of the last
	Skerry   *infer.Provenance  `json:"skerry,omitempty"`
}

type ollamaSaid struct {
	Role     string       `json:"role"`
	Content  string       `json:"content"`
	Thinking string       `json:"thinking,omitempty"`
	Calls    []ollamaCall `json:"tool_calls,omitempty"`
}

type ollamaCall struct {
	ID       string `json:"id,omitempty"`
	Function struct {
		Index     int             `json:"index"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// timings in ns, as a Duration is written.
type timings struct {
	Total        time.Duration `json:"total_duration"`
	Load         time.Duration `json:"load_duration"`
	Prompt       int           `json:"prompt_eval_count"`
	PromptTime   time.Duration `json:"prompt_eval_duration"`
	Eval         int           `json:"eval_count"`
	EvalDuration time.Duration `json:"eval_duration"`
}

func timingsOf(u infer.Usage) *timings {
	return &timings{u.Total, u.Load, u.Prompt, u.Prefill, u.Completion, u.Decode}
}

// ollamaReplies makes the replies of one answer.
type ollamaReplies struct {
	model    string // by the name it was asked for
	chat     bool
	logprobs bool
	answer   infer.Answer
	ignored  []infer.Ignored
	calls    exchange.Calls // so far: Ollama's clients get them whole
}

// piece of an answer; of chats a call has to be whole.
func (o *ollamaReplies) piece(thought, text string, tokens []infer.Token, whole exchange.Calls) ollamaReply {
	r := ollamaReply{Model: o.model, Created: time.Now().UTC()}
	if o.logprobs && len(tokens) > 0 {
		r.Logprobs = exchange.LogprobsOf(tokens)
	}
	if !o.chat {
		r.Response, r.Thinking = &text, thought
		return r
	}
	r.Message = &ollamaSaid{Role: "assistant", Content: text, Thinking: thought}
	for i, c := range whole {
		if c.Arguments != "" && !json.Valid([]byte(c.Arguments)) {
			continue // cut off, by the end of the tokens: not one to make
		}
		one := ollamaCall{ID: c.ID}
		one.Function.Index, one.Function.Name = i, c.Name
		if one.Function.Arguments = exchange.Arguments(c.Arguments); one.Function.Arguments[0] != '{' {
			one.Function.Arguments = json.RawMessage("{}") // clients take an object alone
		}
		r.Message.Calls = append(r.Message.Calls, one)
	}
	return r
}

// last makes r the reply that ends the answer.
func (o *ollamaReplies) last(r ollamaReply, e infer.Event) ollamaReply {
	r.Done, r.Reason = true, string(infer.Stop)
	if e.Finish == infer.Length || e.Finish == infer.Cancelled {
		r.Reason = string(infer.Length)
	}
	r.timings, r.Skerry = timingsOf(e.Usage), exchange.Provenance(o.answer, e, o.ignored)
	return r
}

// loaded is the reply to an empty prompt.
func loaded(model string, chat bool, reason string) ollamaReply {
	r := (&ollamaReplies{model: model, chat: chat}).piece("", "", nil, nil)
	r.Done, r.Reason = true, cmp.Or(reason, "load")
	return r
}
