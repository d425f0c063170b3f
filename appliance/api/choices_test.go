package api

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// Several answers are told apart by their index, whole and streamed, and count together.
func TestSeveralChoices(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages": [{"role": "user", "content": "x"}], "n": 3, "seed": 5, "max_tokens": 4`,
		"/v1/completions":      `{"prompt": ["x", "y", "x"], "seed": 5, "max_tokens": 4, "echo": true`,
	} {
		f := &fake{}
		c := newClient(t, f)
		whole := c.post(path, body+"}").ok()
		if len(f.asked) != 3 || len(whole.json("choices").([]any)) != 3 || whole.json("usage", "completion_tokens") != 12.0 || whole.json("usage", "prompt_tokens") != 33.0 {
			t.Fatalf("%s: %d answers: %s", path, len(f.asked), whole.body)
		}
		schema := map[bool]string{true: "ChatChunk", false: "Completion"}[strings.Contains(path, "chat")]
		events, _ := c.post(path, body+`, "stream": true, "stream_options": {"include_usage": true}}`).ok().events(schema)
		texts := map[string]string{}
		for _, e := range events[:len(events)-2] {
			one := dig(t, []byte(e.data), "choices", 0).(map[string]any)
			text, _ := one["text"].(string)
			if d, ok := one["delta"].(map[string]any); ok {
				text, _ = d["content"].(string)
			}
			texts[fmt.Sprint(one["index"])] += text
		}
		for i := range 3 {
			want := whole.json("choices", i, "text")
			if want == nil {
				want = whole.json("choices", i, "message", "content")
			}
			if texts[fmt.Sprint(i)] != want || whole.json("choices", i, "index") != float64(i) || whole.json("choices", i, "skerry", "mode") != "standalone" {
				t.Errorf("%s, choice %d: streamed %q, whole %q", path, i, texts[fmt.Sprint(i)], want)
			}
		}
		if last := events[len(events)-2].data; dig(t, []byte(last), "usage", "completion_tokens") != 12.0 {
			t.Errorf("%s: the last chunk is %s", path, last)
		}
		if strings.Contains(path, "chat") {
			if *f.asked[0].Seed != 5 || *f.asked[2].Seed != 7 {
				t.Errorf("the seeds are %d and %d", *f.asked[0].Seed, *f.asked[2].Seed)
			}
		} else if !strings.HasPrefix(whole.json("choices", 1, "text").(string), "y") {
			t.Errorf("no echo: %s", whole.body)
		}
	}
}

// A queue that is full for a moment keeps none of several answers from being given; only the
// first is refused at once.
func TestSeveralChoicesWaitForTheirTurn(t *testing.T) {
	busy := func(n int) error {
		if n%3 == 1 {
			return nil
		}
		return &infer.Error{Code: infer.Busy, Message: "the queue is full", RetryAfter: time.Millisecond}
	}
	body := `{"prompt": ["x", "y"], "n": 2, "seed": 5, "max_tokens": 4`
	f := &fake{refuse: busy}
	whole := newClient(t, f).post("/v1/completions", body+"}").ok()
	if n := len(whole.json("choices").([]any)); n != 4 || len(f.asked) != 10 {
		t.Errorf("%d choices after %d questions: %s", n, len(f.asked), whole.body)
	}
	f = &fake{refuse: busy}
	events, _ := newClient(t, f).post("/v1/completions", body+`, "stream": true}`).ok().events("Completion")
	if last := events[len(events)-2].data; len(f.asked) != 10 || dig(t, []byte(last), "choices", 0, "index") != 3.0 {
		t.Errorf("%d questions, and the stream ends with %s", len(f.asked), last)
	}
	first := newClient(t, &fake{refuse: func(int) error { return busy(2) }}).post("/v1/completions", body+"}")
	if first.status != 429 {
		t.Errorf("of a queue that is full at once: %d %s", first.status, first.body)
	}
}

// Between events that have ids no empty line stands but at their ends: OpenAI's python client
// takes one for an event of no data.
func TestCommentsBetweenEvents(t *testing.T) {
	body := newClient(t, &fake{}).post("/v1/chat/completions", chatBody+`, "n": 2, "stream": true}`).ok().body
	named, lines := false, strings.Split(strings.TrimSuffix(body, "\n\n"), "\n")
	comments := 0
	for i, line := range lines {
		named = named || strings.HasPrefix(line, "id: ")
		if named && line == "" && !strings.HasPrefix(lines[i-1], "data: ") {
			t.Errorf("an empty line after %q", lines[i-1])
		}
		if named && strings.HasPrefix(line, ": ") {
			comments++
		}
	}
	if comments != 2 {
		t.Errorf("%d comments between events", comments)
	}
}

func TestPromptsOfTokens(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	c.post("/v1/completions", `{"prompt": [1, 2, 3]}`).ok()
	if q := f.last(); !slices.Equal(q.PromptTokens, []int32{1, 2, 3}) || q.Prompt != "" {
		t.Errorf("the backend was asked %+v", q)
	}
	c.post("/v1/completions", `{"prompt": [[1], [2, 3]], "max_tokens": -1}`).ok()
	if q := f.last(); len(f.asked) != 3 || !slices.Equal(q.PromptTokens, []int32{2, 3}) || q.MaxTokens != 0 {
		t.Errorf("the backend was asked %+v", q)
	}
}

// What llama.cpp's server and vLLM have for sampling reaches the backend, with the defaults
// that belong to what is on.
func TestRarerSampling(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	c.post("/v1/chat/completions", chatBody+`, "xtc_probability": 0.5, "dry_multiplier": 0.8, "dynatemp_range": 0.5, "repetition_penalty": 1.25, "repeat_last_n": -1,
		"logit_bias": {"7": -100, "5": 1.5}, "min_tokens": 2, "top_n_sigma": -1}`).ok()
	q := f.last()
	want := infer.Filters{
		XTCProbability: 0.5, XTCThreshold: 0.1, DRYMultiplier: 0.8, DRYBase: 1.75, DRYAllowed: 2, DRYLast: -1, DRYBreakers: []string{"\n", ":", `"`, "*"},
		DynatempRange: 0.5, DynatempExponent: 1, Bias: []infer.TokenBias{{ID: 5, Bias: 1.5}, {ID: 7, Bias: infer.Banned}},
	}
	if a, b := fmt.Sprintf("%+v", q.Filters), fmt.Sprintf("%+v", want); a != b || q.Repeat != 1.25 || q.PenaltyLast != -1 || q.MinTokens != 2 {
		t.Errorf("the backend was asked %+v\nwant %s", q.Options, b)
	}
	c.post("/v1/chat/completions", chatBody+`, "logit_bias": [[7, false], [9, 3]]}`).ok()
	if q := f.last(); !slices.Equal(q.Bias, []infer.TokenBias{{ID: 7, Bias: infer.Banned}, {ID: 9, Bias: 3}}) {
		t.Errorf("biases are %v", q.Bias)
	}
}

// Thoughts come in fields of their own, whole and streamed, in both APIs.
func TestThoughts(t *testing.T) {
	events := []infer.Event{
		{Kind: infer.Text, Index: 1, Thought: "hm", Tokens: []infer.Token{{ID: 1}}},
		{Kind: infer.Text, Index: 2, Thought: "?", Text: "yes", Tokens: []infer.Token{{ID: 2}}},
		{Kind: infer.End, Index: 2, Finish: infer.Stop},
	}
	c := newClient(t, &fake{script: scripted(events)})
	whole := c.post("/v1/chat/completions", chatBody+`, "reasoning_effort": "high"}`).ok()
	if whole.json("choices", 0, "message", "reasoning_content") != "hm?" || whole.json("choices", 0, "message", "content") != "yes" {
		t.Errorf("whole: %s", whole.body)
	}
	var thought, text string
	stream, _ := c.post("/v1/chat/completions", chatBody+`, "stream": true}`).ok().events("ChatChunk")
	for _, e := range stream[:len(stream)-1] {
		d, _ := dig(t, []byte(e.data), "choices", 0, "delta").(map[string]any)
		more, _ := d["reasoning_content"].(string)
		said, _ := d["content"].(string)
		thought, text = thought+more, text+said
	}
	if thought != "hm?" || text != "yes" {
		t.Errorf("streamed: thought %q, said %q", thought, text)
	}
	chat := c.post("/api/chat", `{"model": "fake-135m", "think": true, "stream": false, "messages": [{"role": "user", "content": "x"}]}`).ok()
	if chat.json("message", "thinking") != "hm?" || chat.json("message", "content") != "yes" {
		t.Errorf("Ollama's chat: %s", chat.body)
	}
	for _, line := range c.post("/api/generate", `{"model": "fake-135m", "prompt": "x"}`).ok().lines("GenerateReply")[:1] {
		if dig(t, []byte(line), "thinking") != "hm" {
			t.Errorf("Ollama's stream: %s", line)
		}
	}
}

// A field about thinking that the model's template has no place for is told.
func TestThinkingThatTheModelLacks(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/v1/chat/completions", chatBody+`, "chat_template_kwargs": {"enable_thinking": false, "nothing": 1}}`).ok()
	if names := ignoredIn(r); !slices.Equal(names, []string{"chat_template_kwargs.nothing"}) {
		t.Errorf("ignored are %q", names)
	}
	if q := f.last(); q.TemplateArgs["enable_thinking"] != false || !q.SplitThoughts {
		t.Errorf("the backend was asked %+v", q)
	}
	r = c.post("/v1/chat/completions", `{"model": "other", "messages": [{"role": "user", "content": "x"}], "think": true, "reasoning_effort": "low"}`).ok()
	if names := ignoredIn(r); !slices.Equal(names, []string{"think", "reasoning_effort"}) {
		t.Errorf("of a model that does not think, ignored are %q", names)
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"a%d": 1`, i))
	}
	r = c.post("/v1/chat/completions", chatBody+`, "chat_template_kwargs": {`+strings.Join(many, ", ")+`}}`)
	if r.status != 400 || r.json("error", "param") != "chat_template_kwargs" {
		t.Errorf("65 variables: %d %s", r.status, r.body)
	}
	c.post("/v1/chat/completions", chatBody+`, "reasoning_effort": "none"}`).ok()
	if q := f.last(); q.TemplateArgs["enable_thinking"] != false || q.TemplateArgs["reasoning_effort"] != nil {
		t.Errorf("the backend was asked %+v", q.TemplateArgs)
	}
}

// An answer goes on with a last message of the assistant's, unless that is not wanted.
func TestGoesOn(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for body, want := range map[string]bool{
		`{"messages": [{"role": "assistant", "content": "It"}]}`:                                    true,
		`{"messages": [{"role": "assistant", "content": "It"}], "continue_final_message": true}`:    true,
		`{"messages": [{"role": "assistant", "content": "It"}], "continue_final_message": false}`:   false,
		`{"messages": [{"role": "assistant", "content": "It"}], "add_generation_prompt": true}`:     false,
		`{"messages": [{"role": "assistant", "content": "It"}, {"role": "user", "content": "go"}]}`: false,
	} {
		c.post("/v1/chat/completions", body).ok()
		if f.last().Continue != want {
			t.Errorf("%s goes on: %v", body, f.last().Continue)
		}
	}
}

// How far a long prompt is, and who is before it, is told to every client that can show it.
func TestWaitingIsTold(t *testing.T) {
	c := newClient(t, &fake{})
	events, comments := c.post("/v1/chat/completions", chatBody+`, "stream": true, "return_progress": true}`).ok().events("ChatChunk")
	if got := dig(t, []byte(events[0].data), "prompt_progress", "processed"); got != 512.0 || dig(t, []byte(events[0].data), "prompt_progress", "total") != 4096.0 {
		t.Errorf("the first chunk is %s", events[0].data)
	}
	if events[0].id != "" || !slices.Equal(comments, []string{"queued 1"}) {
		t.Errorf("it has the id %q, and there are the comments %q", events[0].id, comments)
	}
	text := c.post("/v1/completions", `{"prompt": "x", "stream": true, "return_progress": true}`).ok().body
	if !strings.Contains(text, `"text":""`) || strings.Count(text, `"prompt_progress":{"total":4096,"cache":0,"processed":512,`) != 1 {
		t.Errorf("a completion: %.600s", text)
	}
	for path, part := range map[string]string{"/api/chat": "message", "/api/generate": "response"} {
		body := strings.Replace(bases[path], `"stream": false`, `"stream": true`, 1)
		lines := strings.Split(c.post(path, body).ok().body, "\n")
		if dig(t, []byte(lines[0]), "queue") != 1.0 || dig(t, []byte(lines[1]), "prompt_progress", "processed") != 512.0 {
			t.Errorf("%s: %s", path, strings.Join(lines[:2], "\n"))
		}
		for _, line := range lines[:2] {
			if !strings.Contains(line, `"`+part+`":`) || dig(t, []byte(line), "done") != false {
				t.Errorf("%s: clients may not take %s", path, line)
			}
		}
	}
}

// A prompt that is too long is an error that programs know, with both numbers; where
// Ollama's truncate is asked for, the oldest goes.
func TestTooLong(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	long := strings.Repeat("word ", 1000)
	var list []map[string]string
	for range 10 {
		list = append(list, map[string]string{"role": "user", "content": long})
	}
	list[0]["role"] = "system"
	messages, _ := json.Marshal(list)
	r := c.post("/v1/chat/completions", `{"messages": `+string(messages)+`}`)
	if r.status != 400 || r.json("error", "code") != "context_length_exceeded" || r.json("error", "n_ctx") != 20000.0 || r.json("error", "n_prompt_tokens") != 50000.0 ||
		!strings.Contains(r.body, "this model's maximum context length is 20000 tokens") {
		t.Errorf("%d %s", r.status, r.body)
	}
	body := `{"model": "fake-135m", "stream": false, "messages": ` + string(messages)
	if r := c.post("/api/chat", body+"}"); r.status != 400 {
		t.Errorf("without truncate: %d", r.status)
	}
	r = c.post("/api/chat", body+`, "truncate": true}`).ok()
	if q := f.last(); len(q.Messages) < 2 || len(q.Messages) > 4 || q.Messages[0].Role != "system" || !slices.Contains(ignoredIn(r), "messages") {
		t.Errorf("%d messages are left: %s", len(q.Messages), r.body)
	}
	c.post("/api/generate", `{"model": "fake-135m", "stream": false, "truncate": true, "prompt": "`+strings.Repeat("ä", 20000)+`!"}`).ok()
	if q := f.last(); math.Abs(float64(len(q.Prompt)-17000)) > 3000 || !strings.HasPrefix(q.Prompt, "ä") || !strings.HasSuffix(q.Prompt, "!") {
		t.Errorf("%d bytes are left", len(q.Prompt))
	}
}
