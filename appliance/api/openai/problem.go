package openai

import (
	"fmt"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// Shape is OpenAI's.
type Shape struct{}

// Fault is an error as OpenAI's clients read it. Of a prompt that is too long programs look
// for the code, for words about the maximum context length, or for llama-server's numbers.
func (Shape) Fault(p *exchange.Problem) any {
	e := map[string]any{"message": p.Said.Message, "type": p.Kind, "param": orNull(p.Said.Param), "code": orNull(p.Code)}
	if p.Said.Code == infer.TooLong && p.Said.Context > 0 {
		e["message"] = fmt.Sprintf("this model's maximum context length is %d tokens: %s", p.Said.Context, p.Said.Message)
		e["n_ctx"], e["n_prompt_tokens"] = p.Said.Context, p.Said.Tokens
	}
	return map[string]any{"error": e}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
