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

func TestOllamaChat(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := `{"model": "fake-135m:latest", "messages": [{"role": "user", "content": "hello"}], "options": {"temperature": 0, "num_predict": 6}`
	whole := c.post("/api/chat", body+`, "stream": false}`).ok()
	whole.is("OllamaChatReply", whole.body)
	for field, want := range map[string]any{
		"model": "fake-135m:latest", "done": true, "done_reason": "length", "total_duration": 2e9, "load_duration": 5.0,
		"prompt_eval_count": 11.0, "prompt_eval_duration": 1e6, "eval_count": 6.0, "eval_duration": 1e9,
	} {
		if got := whole.json(field); got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if whole.json("skerry", "mode") != "standalone" {
		t.Errorf("no truth in %s", whole.body)
	}
	var text string
	lines := c.post("/api/chat", body+"}").ok().lines("OllamaChatReply")
	for i, line := range lines {
		text += dig(t, []byte(line), "message", "content").(string)
		if last := i == len(lines)-1; dig(t, []byte(line), "done") != last {
			t.Errorf("line %d of %d: %s", i, len(lines), line)
		}
	}
	if want := whole.json("message", "content"); text != want {
		t.Errorf("the stream says %q, the whole %q", text, want)
	}
}

func TestOllamaGenerate(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/api/generate", `{"model": "fake-135m", "prompt": "hello", "system": "be brief", "stream": false, "logprobs": true, "top_logprobs": 1}`).ok()
	if m := f.last().Messages; len(m) != 2 || m[0].Role != "system" || m[1].Content != "hello" {
		t.Errorf("the backend was told %+v", m)
	}
	if r.json("response") == "" || r.json("logprobs", 0, "logprob") != -0.25 || r.json("context") != nil {
		t.Errorf("the reply is %s", r.body)
	}
	c.post("/api/generate", `{"model": "fake-135m", "prompt": "hello", "raw": true}`).ok().lines("GenerateReply")
	if q := f.last(); !q.Raw || q.Prompt != "hello" {
		t.Errorf("the backend was asked %+v", q)
	}
}

func TestOllamaTools(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := `{"model": "fake-135m", "messages": [{"role": "user", "content": "weather?"},
		{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "time", "arguments": {"zone": 1}}}]},
		{"role": "tool", "tool_name": "time", "content": "noon"}, {"role": "user", "content": "and the weather?"}],
		"tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}}}}],
		"options": {"tool_choice": "required"}`
	whole := c.post("/api/chat", body+`, "stream": false}`).ok()
	want := `{"index":0,"name":"weather","arguments":{"city":"Oslo"}}`
	var call struct {
		Message struct {
			Calls []struct{ Function json.RawMessage } `json:"tool_calls"`
		}
	}
	check := func(text string) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &call); err != nil || len(call.Message.Calls) != 1 || string(call.Message.Calls[0].Function) != want {
			t.Errorf("no call %s in %s", want, text)
		}
	}
	check(whole.body)
	lines := c.post("/api/chat", body+"}").ok().lines("OllamaChatReply")
	check(lines[len(lines)-2])
	m := f.last().Messages
	if f.last().ToolChoice != "required" || string(m[1].ToolCalls[0].Arguments) != `{"zone": 1}` || m[2].Name != "time" {
		t.Errorf("the backend was told %+v", f.last())
	}
}

func TestOllamaOptions(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	c.post("/api/chat", `{"model": "fake-135m", "messages": [{"role": "user", "content": "x"}], "format": {"type": "object"}, "skerry": {"mode": "standalone", "draft": "lookup"},
		"options": {"num_ctx": 2048, "num_predict": -1, "seed": -1, "top_k": 5, "top_p": 0.5, "min_p": 0.25, "stop": ["a", "b"], "repeat_penalty": 1.5,
		"repeat_last_n": 32, "presence_penalty": 0.5, "frequency_penalty": 0.25, "num_thread": 8, "mirostat": 0}}`).ok()
	q := f.last()
	if q.Context != 2048 || q.MaxTokens != 0 || q.Seed != nil || *q.TopK != 5 || *q.TopP != 0.5 || *q.MinP != 0.25 || !slices.Equal(q.Stop, []string{"a", "b"}) ||
		q.Repeat != 1.5 || q.PenaltyLast != 32 || q.Presence != 0.5 || q.Frequency != 0.25 || q.Format != "schema" || q.Mode != "standalone" || q.Draft != infer.DraftLookup {
		t.Errorf("the backend was asked %+v", q)
	}
	c.post("/api/generate", `{"model": "fake-135m", "prompt": "x", "format": "json", "options": {"repeat_last_n": 0, "repeat_penalty": 1.5, "seed": 18446744073709551614}}`).ok()
	if q := f.last(); q.Repeat != 1 || q.Format != "json" || *q.Seed != math.MaxUint64-1 {
		t.Errorf("the backend was asked %+v", q)
	}
}

// Every API takes the drafts that are to be checked, and names the field where it is wrong.
func TestDraftOfARequest(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": `"messages": [{"role": "user", "content": "x"}]`, "/v1/completions": `"prompt": "x"`, "/v1/responses": `"input": "x"`,
		"/v1/messages": `"messages": [{"role": "user", "content": "x"}], "max_tokens": 4`,
		"/api/chat":    `"messages": [{"role": "user", "content": "x"}]`, "/api/generate": `"prompt": "x"`,
	} {
		f := &fake{}
		c := newClient(t, f)
		for _, draft := range []infer.Drafting{"", infer.DraftOff, infer.DraftModel} {
			c.post(path, fmt.Sprintf(`{"model": "fake-135m", %s, "skerry": {"draft": %q}}`, body, draft)).ok()
			if got := f.last().Draft; got != draft {
				t.Errorf("%s: draft %q, not %q", path, got, draft)
			}
		}
		if r := c.post(path, fmt.Sprintf(`{"model": "fake-135m", %s, "skerry": {"draft": "fast"}}`, body)); r.status != 400 || !strings.Contains(r.body, "lookup") {
			t.Errorf("%s: %d, %s", path, r.status, r.body)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	for _, body := range []string{
		`{"model": "fake-135m"}`, `{"model": "fake-135m", "keep_alive": "5m"}`, `{"model": "fake-135m", "keep_alive": 90}`,
		`{"model": "fake-135m", "keep_alive": -1}`, `{"model": "fake-135m", "keep_alive": 0}`,
	} {
		reason := "load"
		if strings.HasSuffix(body, " 0}") {
			reason = "unload"
		}
		r := c.post("/api/generate", body).ok()
		if r.json("done_reason") != reason || r.json("done") != true || r.json("response") != "" {
			t.Errorf("%s: %s", body, r.body)
		}
	}
	r := c.post("/api/chat", `{"model": "fake-135m", "messages": [], "keep_alive": "0"}`).ok()
	if r.json("done_reason") != "unload" || r.json("message", "content") != "" {
		t.Errorf("chat: %s", r.body)
	}
	c.post("/api/generate", `{"model": "fake-135m", "prompt": "x", "keep_alive": "1h"}`).ok()
	if q := f.last(); q.KeepAlive == nil || *q.KeepAlive != time.Hour {
		t.Errorf("keep_alive of an answer: %v", q.KeepAlive)
	}
	want := []time.Duration{-2, 5 * time.Minute, 90 * time.Second, -time.Second, 0, 0}
	if !slices.Equal(f.loads, want) {
		t.Errorf("loads are %v, want %v", f.loads, want)
	}
}

func TestOllamaModels(t *testing.T) {
	c := newClient(t, &fake{})
	tags := c.get("/api/tags").ok()
	if tags.json("models", 0, "name") != "fake-135m:latest" || tags.json("models", 0, "details", "parameter_size") != "134.52M" {
		t.Errorf("tags: %s", tags.body)
	}
	if ps := c.get("/api/ps").ok(); len(ps.json("models").([]any)) != 1 || ps.json("models", 0, "context_length") != 4096.0 {
		t.Errorf("ps: %s", ps.body)
	}
	for _, field := range []string{"model", "name"} {
		show := c.post("/api/show", `{"`+field+`": "fake-135m"}`).ok()
		if show.json("model_info", "llama.context_length") != 8192.0 || show.json("capabilities", 1) != "tools" || show.json("capabilities", 2) != "thinking" || show.json("model_info", "skerry.embeddings") != true || len(show.json("capabilities").([]any)) != 3 {
			t.Errorf("show: %s", show.body)
		}
	}
	if v := c.get("/api/version").ok(); v.json("skerry") != "v1.2.3" || v.json("version") == "" {
		t.Errorf("version: %s", v.body)
	}
}

func TestPull(t *testing.T) {
	c := newClient(t, &fake{})
	if r := c.post("/api/pull", `{"model": "new-model:latest", "stream": false}`).ok(); r.json("status") != "success" {
		t.Errorf("pull: %s", r.body)
	}
	lines := c.post("/api/pull", `{"name": "new-model"}`).ok().lines("PullProgress")
	if n := len(lines); n < 2 || dig(t, []byte(lines[n-1]), "status") != "success" || dig(t, []byte(lines[n-2]), "completed") != 100.0 {
		t.Errorf("pull: %q", lines)
	}
	if r := c.post("/api/pull", `{"model": "nope"}`); r.status != 404 {
		t.Errorf("pull of what is not to be had: %d %s", r.status, r.body)
	}
}

func TestOllamaFailsInMidStream(t *testing.T) {
	c := newClient(t, &fake{script: saying("half", &infer.Error{Code: infer.Internal, Message: "the weights are gone"})})
	r := c.post("/api/chat", `{"model": "fake-135m", "messages": [{"role": "user", "content": "x"}]}`).ok()
	if lines := strings.Split(strings.TrimSpace(r.body), "\n"); len(lines) != 2 || lines[1] != `{"error":"the weights are gone"}` {
		t.Errorf("the stream is %s", r.body)
	}
}
