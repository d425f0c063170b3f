package exchange

import (
	"math"

	"skerry/appliance/infer"
)

// ChatLogprob is a token with its own probability and those of the likeliest.
type ChatLogprob struct {
	logprob
	Top []logprob `json:"top_logprobs"`
}

type logprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func newLogprob(text string, bytes []byte, p float64) logprob {
	out := logprob{Token: text, Logprob: Finite(p), Bytes: []int{}}
	for _, b := range bytes {
		out.Bytes = append(out.Bytes, int(b))
	}
	return out
}

// Finite is p, or OpenAI's number for a token that cannot be.
func Finite(p float64) float64 {
	if math.IsNaN(p) || p < -9999 {
		return -9999
	}
	return min(p, 0)
}

// LogprobsOf has the probabilities of tokens as both APIs tell them in a chat.
func LogprobsOf(tokens []infer.Token) []ChatLogprob {
	out := []ChatLogprob{}
	for _, t := range tokens {
		one := ChatLogprob{newLogprob(t.Text, t.Bytes, t.Logprob), []logprob{}}
		for _, c := range t.Top {
			one.Top = append(one.Top, newLogprob(c.Text, c.Bytes, c.Logprob))
		}
		out = append(out, one)
	}
	return out
}
