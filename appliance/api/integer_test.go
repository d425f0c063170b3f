package api

import (
	"fmt"
	"strings"
	"testing"
)

// A JSON number has no integer type: each spelling of 5 is 5, in every integer field.
func TestWholeNumbersAreIntegers(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for _, five := range []string{"5", "5.0", "5.000", "5e0", "0.5e1", "50E-1", "500.0e-2"} {
		for _, field := range []string{"max_tokens", "max_completion_tokens", "top_k", "seed"} {
			c.post("/v1/chat/completions", chatBody+fmt.Sprintf(`, %q: %s}`, field, five)).ok()
			q := f.last()
			if field == "top_k" && *q.TopK != 5 || field == "seed" && *q.Seed != 5 || strings.HasPrefix(field, "max") && q.MaxTokens != 5 {
				t.Errorf("%s %s: the backend was asked %+v", field, five, q.Options)
			}
		}
		c.post("/v1/chat/completions", chatBody+`, "logprobs": true, "top_logprobs": `+five+`}`).ok()
		c.post("/v1/completions", `{"prompt": "x", "logprobs": `+five+`, "max_tokens": `+five+`}`).ok()
		if q := f.last(); q.TopLogprobs != 5 || q.MaxTokens != 5 {
			t.Errorf("logprobs %s: the backend was asked %+v", five, q.Options)
		}
		c.post("/api/chat", fmt.Sprintf(`{"model": "fake-135m", "stream": false, "messages": [{"role": "user", "content": "x"}], "keep_alive": %[1]s, "top_logprobs": %[1]s,
			"options": {"num_ctx": %[1]s, "num_predict": %[1]s, "seed": %[1]s, "top_k": %[1]s, "repeat_last_n": %[1]s}}`, five)).ok()
		if q := f.last(); q.Context != 5 || q.MaxTokens != 5 || *q.Seed != 5 || *q.TopK != 5 || q.PenaltyLast != 5 || q.TopLogprobs != 5 {
			t.Errorf("Ollama's options %s: the backend was asked %+v", five, q.Options)
		}
	}
	c.post("/v1/chat/completions", chatBody+`, "n": 1.0, "seed": 1e10}`).ok()
	c.post("/v1/completions", `{"prompt": "x", "n": 1e0, "best_of": 1.0, "seed": -1.0}`).ok()
	if *f.last().Seed != 1<<64-1 {
		t.Errorf("the seed -1.0 is %d", *f.last().Seed)
	}
	c.post("/api/generate", `{"model": "fake-135m", "prompt": "x", "options": {"num_predict": -2.0, "seed": 18446744073709551614.0, "top_k": -1.0}}`).ok()
	if q := f.last(); q.MaxTokens != 0 || *q.Seed != 1<<64-2 || *q.TopK != 0 {
		t.Errorf("the backend was asked %+v", q.Options)
	}
}

func TestFractionsAreNoIntegers(t *testing.T) {
	c := newClient(t, &fake{})
	for _, bad := range []string{"2048.5", "1e30", "1e-1", "1e999999999999", "5e-1", "true", `"5"`, "[5]", "{}"} {
		r := c.post("/api/chat", `{"model": "fake-135m", "messages": [{"role": "user", "content": "x"}], "options": {"num_ctx": `+bad+`}}`)
		if r.status != 400 || !strings.HasPrefix(r.json("error").(string), "options.num_ctx must be an integer, not ") {
			t.Errorf("num_ctx %s: %d %s", bad, r.status, r.body)
		}
		r = c.post("/v1/chat/completions", chatBody+`, "max_tokens": `+bad+`}`)
		if r.status != 400 || r.json("error", "param") != "max_tokens" {
			t.Errorf("max_tokens %s: %d %s", bad, r.status, r.body)
		}
		r = c.post("/v1/chat/completions", chatBody+`, "seed": `+bad+`}`)
		if r.status != 400 || r.json("error", "param") != "seed" {
			t.Errorf("seed %s: %d %s", bad, r.status, r.body)
		}
	}
}
