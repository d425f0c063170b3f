package api

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/build/testseed"
)

// refused are bodies by path, with the field that is wrong and a word that says why.
var refused = []struct{ path, body, param, says string }{
	{"/v1/chat/completions", ``, "", "no body"},
	{"/v1/chat/completions", `{`, "", "not valid JSON"},
	{"/v1/chat/completions", `[]`, "", "of type array"},
	{"/v1/chat/completions", `{} {}`, "", "not valid JSON"},
	{"/v1/chat/completions", `{}`, "messages", "no messages"},
	{"/v1/chat/completions", `{"messages": "x"}`, "messages", "must be a list"},
	{"/v1/chat/completions", `{"messages": [{"role": 1}]}`, "messages.role", "must be a string"},
	{"/v1/chat/completions", `{"messages": [{"role": "wizard", "content": "x"}]}`, "messages[0].role", "wizard"},
	{"/v1/chat/completions", `{"messages": [{"role": "user"}]}`, "messages[0].content", "missing"},
	{"/v1/chat/completions", `{"messages": [{"role": "user", "content": 5}]}`, "messages.content", "list of parts"},
	{"/v1/chat/completions", `{"messages": [{"role": "tool", "content": "x"}]}`, "messages[0].tool_call_id", "missing"},
	{"/v1/chat/completions", `{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}`, "messages[0].content", "no vision"},
	{"/v1/chat/completions", `{"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}`, "messages[0].content", "input_audio"},
	{"/v1/chat/completions", chatBody + `, "n": 17}`, "n", "from 1 to 16"},
	{"/v1/chat/completions", chatBody + `, "n": 2, "skerry": {"session": "s"}}`, "n", "one answer at a time"},
	{"/v1/chat/completions", chatBody + `, "chat_template_kwargs": {"messages": 5}}`, "chat_template_kwargs.messages", "conversation's own"},
	{"/v1/chat/completions", chatBody + `, "chat_template_kwargs": {"a": []}}`, "chat_template_kwargs.a", "must be a string"},
	{"/v1/chat/completions", chatBody + `, "reasoning_effort": "extreme"}`, "reasoning_effort", "one of none"},
	{"/v1/chat/completions", chatBody + `, "think": 5}`, "think", "true, false"},
	{"/v1/chat/completions", chatBody + `, "continue_final_message": true}`, "continue_final_message", "last message of the assistant's"},
	{"/v1/chat/completions", chatBody + `, "add_generation_prompt": false}`, "add_generation_prompt", "leave it out"},
	{"/v1/chat/completions", chatBody + `, "structured_outputs": {"json_object": true, "choice": ["a"]}}`, "structured_outputs", "one of"},
	{"/v1/chat/completions", chatBody + `, "guided_choice": ["a", ""]}`, "guided_choice", "must not be empty"},
	{"/v1/chat/completions", chatBody + `, "typical_p": 2}`, "typical_p", "from 0 to 1"},
	{"/v1/chat/completions", chatBody + `, "min_keep": "x"}`, "min_keep", "must be an integer"},
	{"/v1/chat/completions", strings.Replace(chatBody, `"max_tokens": 6`, `"max_tokens": 0`, 1) + `}`, "max_tokens", "or -1"},
	{"/v1/chat/completions", chatBody + `, "temperature": 3}`, "temperature", "from 0 to 2"},
	{"/v1/chat/completions", chatBody + `, "top_p": "a lot"}`, "top_p", "must be a number"},
	{"/v1/chat/completions", chatBody + `, "seed": 1.5}`, "seed", "integer"},
	{"/v1/chat/completions", chatBody + `, "max_completion_tokens": 0}`, "max_completion_tokens", "from 1 to"},
	{"/v1/chat/completions", chatBody + `, "stop": [1]}`, "stop", "list of strings"},
	{"/v1/chat/completions", chatBody + `, "stop": ""}`, "stop", "1 to 1024"},
	{"/v1/chat/completions", chatBody + `, "stream": "yes"}`, "stream", "true or false"},
	{"/v1/chat/completions", chatBody + `, "stream_options": {"include_usage": true}}`, "stream_options", "only for streams"},
	{"/v1/chat/completions", chatBody + `, "top_logprobs": 3}`, "top_logprobs", "needs logprobs"},
	{"/v1/chat/completions", chatBody + `, "logprobs": true, "top_logprobs": 21}`, "top_logprobs", "from 0 to 20"},
	{"/v1/chat/completions", chatBody + `, "logit_bias": {"word": 100}}`, "logit_bias", "token ids"},
	{"/v1/chat/completions", chatBody + `, "logit_bias": {"1": 101}}`, "logit_bias", "from -100 to 100"},
	{"/v1/chat/completions", chatBody + `, "logit_bias": [[1]]}`, "logit_bias", "list of pairs"},
	{"/v1/chat/completions", chatBody + `, "response_format": {"type": "xml"}}`, "response_format.type", "xml"},
	{"/v1/chat/completions", chatBody + `, "response_format": {"type": "json_schema"}}`, "response_format.json_schema.schema", "must be an object"},
	{"/v1/chat/completions", chatBody + `, "tool_choice": "required"}`, "tool_choice", "needs tools"},
	{"/v1/chat/completions", chatBody + `, "tool_choice": 5}`, "tool_choice", "must be auto"},
	{"/v1/chat/completions", chatBody + `, "tools": [{"type": "function", "function": {"name": "a b"}}]}`, "tools[0].function.name", "letters"},
	{"/v1/chat/completions", chatBody + `, "tools": [{"type": "custom"}]}`, "tools[0].type", "function"},
	{"/v1/chat/completions", chatBody + `, "tools": [{"function": {"name": "a"}}], "tool_choice": {"type": "function", "function": {"name": "b"}}}`, "tool_choice", "none of the tools"},
	{"/v1/chat/completions", chatBody + `, "functions": [{"name": "a"}]}`, "functions", "send tools"},
	{"/v1/chat/completions", chatBody + `, "modalities": ["text", "audio"]}`, "modalities", "text only"},
	{"/v1/chat/completions", chatBody + `, "skerry": {"session": "a/b"}}`, "skerry.session", "without a slash"},
	{"/v1/completions", `{}`, "prompt", "no prompt"},
	{"/v1/completions", `{"prompt": [1, "a"]}`, "prompt", "token ids"},
	{"/v1/completions", `{"prompt": ["a", ""]}`, "prompt", "no prompt"},
	{"/v1/completions", `{"prompt": ["a", "b", "c", "d", "e"], "n": 16}`, "prompt", "at most 64"},
	{"/v1/completions", `{"prompt": "a", "echo": true, "logprobs": 1}`, "echo", "cannot be combined"},
	{"/v1/completions", `{"prompt": [1], "echo": true}`, "echo", "prompt of text"},
	{"/v1/completions", `{"prompt": "a", "best_of": 3}`, "best_of", "not compared"},
	{"/v1/completions", `{"prompt": "a", "suffix": 5}`, "suffix", "must be a string"},
	{"/v1/completions", `{"prompt": "", "suffix": ""}`, "prompt", "no prompt"},
	{"/v1/completions", `{"prompt": "a", "logprobs": 6}`, "logprobs", "from 0 to 5"},
	{"/api/generate", `{"prompt": "a"}`, "", "model is required"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "images": ["AAAA"]}`, "", "fake-135m has no vision"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "suffix": "b", "system": "c"}`, "", "send prompt and suffix alone"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "suffix": "b", "raw": true}`, "", "send prompt and suffix alone"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "template": "b"}`, "", "template is not supported"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "context": [1]}`, "", "/api/chat"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "raw": true, "system": "b"}`, "", "raw cannot be combined with system"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "keep_alive": "soon"}`, "", "keep_alive"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "format": "xml"}`, "", "format must be"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "options": {"num_ctx": -1}}`, "", "num_ctx is -1"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "options": {"temperature": "hot"}}`, "", "options.temperature must be a number"},
	{"/api/generate", `{"model": "fake-135m", "prompt": "a", "options": 5}`, "", "options must be an object"},
	{"/api/chat", `{"model": "fake-135m", "messages": [{"role": "user", "content": "a", "images": ["AAAA"]}]}`, "", "no vision"},
	{"/api/chat", `{"model": "fake-135m", "messages": [{"role": "wizard", "content": "a"}]}`, "", "wizard"},
	{"/api/chat", `{"model": "fake-135m", "messages": [{"role": "user", "content": "a"}], "shift": true}`, "", "raise num_ctx"},
	{"/api/show", `{}`, "", "model is required"},
}

func TestBadRequests(t *testing.T) {
	c := newClient(t, &fake{})
	for _, bad := range refused {
		r := c.post(bad.path, bad.body)
		if strings.HasPrefix(bad.path, "/api/") {
			if says, _ := r.json("error").(string); r.status != 400 || !strings.Contains(says, bad.says) || strings.Contains(says, "ollamaCommon") {
				t.Errorf("%s %s: %d %s", bad.path, bad.body, r.status, r.body)
			}
			continue
		}
		param, _ := r.json("error", "param").(string)
		says, _ := r.json("error", "message").(string)
		if r.status != 400 || param != bad.param || !strings.Contains(says, bad.says) || r.json("error", "type") != "invalid_request_error" {
			t.Errorf("%s %s: %d %s", bad.path, bad.body, r.status, r.body)
		}
	}
}

func TestBackendErrors(t *testing.T) {
	for code, want := range map[infer.Code]struct {
		status      int
		name, after string
	}{
		infer.BadRequest: {400, "", ""}, infer.TooLong: {400, "context_length_exceeded", ""}, infer.NoModel: {404, "model_not_found", ""},
		infer.Conflict: {409, "conflict", ""}, infer.Busy: {429, "rate_limit_exceeded", "3"}, infer.Loading: {503, "loading", "3"},
		infer.Stopping: {503, "stopping", "3"}, infer.Unavailable: {503, "unavailable", "3"}, infer.Internal: {500, "internal", ""},
	} {
		e := &infer.Error{Code: code, Param: "messages", Message: "it cannot be: do this"}
		if want.after != "" {
			e.RetryAfter = 2100 * time.Millisecond
		}
		c := newClient(t, &fake{fail: fmt.Errorf("asked: %w", e)})
		r := c.post("/v1/chat/completions", chatBody+"}")
		name, _ := r.json("error", "code").(string)
		if r.status != want.status || name != want.name || r.json("error", "message") != e.Message || r.json("error", "param") != "messages" || r.header.Get("Retry-After") != want.after {
			t.Errorf("%s: %d %v %s", code, r.status, r.header, r.body)
		}
		r = c.post("/api/generate", `{"model": "fake-135m", "prompt": "x"}`)
		if r.status != want.status || r.json("error") != e.Message || r.header.Get("Retry-After") != want.after {
			t.Errorf("%s of Ollama: %d %v %s", code, r.status, r.header, r.body)
		}
	}
}

func TestOtherErrors(t *testing.T) {
	c := newClient(t, &fake{})
	for _, want := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/chat/completions", "", 405, "send POST"},
		{"DELETE", "/v1/models/fake-135m", "", 405, "send GET"},
		{"GET", "/api/chat", "", 405, "send POST"},
		{"POST", "/v1/new", "{}", 404, "openapi.json"},
		{"POST", "/api/push", "{}", 501, "skerry model"},
		{"GET", "/api/nothing", "", 404, "openapi.json"},
		{"GET", "/v1/models/", "", 404, "openapi.json"},
		{"GET", "/v1/models/nope", "", 404, "fake-135m, other"},
		{"POST", "/api/show", `{"model": "nope"}`, 404, "not found"},
		{"POST", "/v1/chat/completions", strings.Replace(chatBody, "fake-135m", "nope", 1) + "}", 404, "not found"},
		{"POST", "/v1/chat/completions", `{"messages": "` + strings.Repeat("x", 5<<20) + `"}`, 413, "longer than 4.2 MB"},
	} {
		if r := c.do(want.method, want.path, want.body); r.status != want.status || !strings.Contains(r.body, want.says) {
			t.Errorf("%s %s: %d %s", want.method, want.path, r.status, r.body)
		}
	}
	for header, want := range map[string]string{"a1.3": "needs the session", "a1": "an id that this server sent", "a1.-4": "an id", ".3": "an id"} {
		h := []string{"Last-Event-ID", header}
		if header != "a1.3" {
			h = append(h, "X-Skerry-Session", "s1")
		}
		if r := c.post("/v1/chat/completions", chatBody+"}", h...); r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("Last-Event-ID %s: %d %s", header, r.status, r.body)
		}
	}
	if r := c.post("/v1/chat/completions", chatBody+"}", "X-Skerry-Session", "s9", "Last-Event-ID", "a1.3"); r.status != 404 {
		t.Errorf("an answer of no session: %d %s", r.status, r.body)
	}
	if r := c.post("/v1/chat/completions", chatBody+`, "skerry": {"session": "a"}}`, "X-Skerry-Session", "b"); r.status != 400 {
		t.Errorf("two sessions: %d %s", r.status, r.body)
	}
}

// While the backend knows no model, it is the backend that says why.
func TestNoModelYet(t *testing.T) {
	f := &fake{empty: true, fail: &infer.Error{Code: infer.Loading, Message: "the model is loading: 40 %", RetryAfter: time.Second}}
	c := newClient(t, f)
	if r := c.post("/v1/chat/completions", chatBody+"}"); r.status != 503 || r.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if list := c.get("/v1/models").ok().json("data").([]any); len(list) != 0 {
		t.Errorf("models are %v", list)
	}
	c.get("/api/tags").ok()
	c.get("/api/ps").ok()
}

// malformed is a request that nobody could answer.
func malformed(dice *rand.Rand) (path, body string) {
	valid := []string{chatBody + "}", toolsBody + "}", `{"model": "fake-135m", "prompt": "x", "options": {"stop": ["a"]}}`}
	bad := refused[dice.IntN(len(refused))]
	path, body = bad.path, bad.body
	switch dice.IntN(6) {
	case 0: // cut
		whole := valid[dice.IntN(len(valid))]
		body = whole[:dice.IntN(len(whole))]
	case 1: // noise
		noise := make([]byte, 1+dice.IntN(4000))
		for i := range noise {
			noise[i] = byte(dice.Uint32())
		}
		body = "\x00" + string(noise)
	case 2: // depth
		open := []string{"[", `{"messages":`, `{"a":`}[dice.IntN(3)]
		body = strings.Repeat(open, 1+dice.IntN(20000))
	case 3: // too long
		if dice.IntN(50) == 0 {
			body = `{"prompt": "` + strings.Repeat("x", 4<<20)
		}
	}
	return path, body
}

func TestManyMalformedRequests(t *testing.T) {
	dice := testseed.Rand(t)
	h := New(&fake{}, Options{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range 10000 {
		if i == 1000 {
			before = heap()
		}
		path, body := malformed(dice)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(body)))
		if w.Code < 400 || w.Code > 499 || w.Body.Len() > 4096 {
			t.Fatalf("%s %.200q: %d, %d bytes: %.200s", path, body, w.Code, w.Body.Len(), w.Body)
		}
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before, after)
	}
	if goroutines := runtime.NumGoroutine(); goroutines > 50 {
		t.Errorf("%d goroutines are left", goroutines)
	}
}
