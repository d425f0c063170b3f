package api

import (
	"math"

	"skerry/appliance/answer"
)

// completion is a reply of OpenAI's shape, whole or a chunk, of either endpoint.
type completion struct {
	ID          string        `json:"id"`
	Object      string        `json:"object"`
	Created     int64         `json:"created"`
	Model       string        `json:"model"`
	Fingerprint string        `json:"system_fingerprint"`
	Choices     []choice      `json:"choices"`
	Usage       any           `json:"usage,omitempty"` // (*usage)(nil) is null
	Skerry      *answer.Truth `json:"skerry,omitempty"`
}

type choice struct {
	Index    int     `json:"index"`
	Message  *said   `json:"message,omitempty"` // of a whole chat
	Delta    *said   `json:"delta,omitempty"`   // of a chat's chunk
	Text     *string `json:"text,omitempty"`    // of a completion
	Logprobs any     `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
}

// said is a message or a piece of one.
type said struct {
	Role    string     `json:"role,omitempty"`
	Content any        `json:"content,omitempty"` // (*string)(nil) is null
	Refusal any        `json:"refusal,omitempty"`
	Calls   []saidCall `json:"tool_calls,omitempty"`
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

func usageOf(u answer.Usage) *usage {
	out := &usage{Prompt: u.Prompt, Completion: u.Completion, Total: u.Prompt + u.Completion}
	out.Details.Cached = u.Cached
	return out
}

func finish(f answer.Finish) *string {
	s := string(f)
	if f == answer.Cancelled {
		s = string(answer.Length) // OpenAI's one word for an answer that is not all there
	}
	return &s
}

// chatLogprobs is the shape of /v1/chat/completions.
type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
	Refusal any           `json:"refusal"`
}

type chatLogprob struct {
	logprob
	Top []logprob `json:"top_logprobs"`
}

type logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func newLogprob(text string, bytes []byte, p float64) logprob {
	out := logprob{Token: text, Logprob: finite(p), Bytes: []int{}}
	for _, b := range bytes {
		out.Bytes = append(out.Bytes, int(b))
	}
	return out
}

// finite is p, or OpenAI's number for a token that cannot be.
func finite(p float64) float64 {
	if math.IsNaN(p) || p < -9999 {
		return -9999
	}
	return min(p, 0)
}

func logprobsOf(tokens []answer.Token) []chatLogprob {
	out := []chatLogprob{}
	for _, t := range tokens {
		one := chatLogprob{newLogprob(t.Text, t.Bytes, t.Logprob), []logprob{}}
		for _, c := range t.Top {
			one.Top = append(one.Top, newLogprob(c.Text, c.Bytes, c.Logprob))
		}
		out = append(out, one)
	}
	return out
}

// textLogprobs is the shape of /v1/completions.
type textLogprobs struct {
	Tokens  []string             `json:"tokens"`
	Logprob []float64            `json:"token_logprobs"`
	Top     []map[string]float64 `json:"top_logprobs"`
	Offset  []int                `json:"text_offset"`
}

// textLogprobsOf tokens, the first of which is offset characters into the answer.
func textLogprobsOf(tokens []answer.Token, offset int) *textLogprobs {
	out := &textLogprobs{[]string{}, []float64{}, []map[string]float64{}, []int{}}
	for _, t := range tokens {
		top := map[string]float64{}
		for _, c := range t.Top {
			top[c.Text] = finite(c.Logprob)
		}
		out.Tokens = append(out.Tokens, t.Text)
		out.Logprob = append(out.Logprob, finite(t.Logprob))
		out.Top = append(out.Top, top)
		out.Offset = append(out.Offset, offset)
		offset += len([]rune(t.Text))
	}
	return out
}
