package openai

import (
	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// completion is a reply of OpenAI's shape, whole or a chunk, of either endpoint.
type completion struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	Model       string   `json:"model"`
	Fingerprint string   `json:"system_fingerprint"`
	Choices     []choice `json:"choices"`
	Usage       any      `json:"usage,omitempty"` // (*usage)(nil) is null
	// Progress of the prompt is told before the answer, where return_progress asks for it.
	Progress *exchange.Progress `json:"prompt_progress,omitempty"`
	Skerry   *infer.Provenance  `json:"skerry,omitempty"`
}

type choice struct {
	Index    int     `json:"index"`
	Message  *said   `json:"message,omitempty"` // of a whole chat
	Delta    *said   `json:"delta,omitempty"`   // of a chat's chunk
	Text     *string `json:"text,omitempty"`    // of a completion
	Logprobs any     `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
	// Skerry is of one of several answers; of one alone the reply has it.
	Skerry *infer.Provenance `json:"skerry,omitempty"`
}

// said is a message or a piece of one.
type said struct {
	Role    string `json:"role,omitempty"`
	Content any    `json:"content,omitempty"` // (*string)(nil) is null
	Refusal any    `json:"refusal,omitempty"`
	// Reasoning is what the model thought before it answered.
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []saidCall `json:"tool_calls,omitempty"`
}

type saidCall struct {
	Index    *int         `json:"index,omitempty"` // of a piece
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function saidFunction `json:"function"`
}

type saidFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func usageOf(u infer.Usage) *usage {
	out := &usage{Prompt: u.Prompt, Completion: u.Completion, Total: u.Prompt + u.Completion}
	out.Details.Cached = u.Cached
	return out
}

func (u *usage) add(v *usage) {
	u.Prompt, u.Completion, u.Total = u.Prompt+v.Prompt, u.Completion+v.Completion, u.Total+v.Total
	u.Details.Cached += v.Details.Cached
}

func finish(f infer.Finish) *string {
	s := string(f)
	if f == infer.Cancelled {
		s = string(infer.Length) // OpenAI's one word for an answer that is not all there
	}
	return &s
}

// chatLogprobs is the shape of /v1/chat/completions.
type chatLogprobs struct {
	Content []exchange.ChatLogprob `json:"content"`
	Refusal any                    `json:"refusal"`
}

// textLogprobs is the shape of /v1/completions.
type textLogprobs struct {
	Tokens  []string             `json:"tokens"`
	Logprob []float64            `json:"token_logprobs"`
	Top     []map[string]float64 `json:"top_logprobs"`
	Offset  []int                `json:"text_offset"`
}

// textLogprobsOf tokens, the first of which is offset characters into the answer.
func textLogprobsOf(tokens []infer.Token, offset int) *textLogprobs {
	out := &textLogprobs{[]string{}, []float64{}, []map[string]float64{}, []int{}}
	for _, t := range tokens {
		top := map[string]float64{}
		for _, c := range t.Top {
			top[c.Text] = exchange.Finite(c.Logprob)
		}
		out.Tokens = append(out.Tokens, t.Text)
		out.Logprob = append(out.Logprob, exchange.Finite(t.Logprob))
		out.Top = append(out.Top, top)
		out.Offset = append(out.Offset, offset)
		offset += len([]rune(t.Text))
	}
	return out
}
