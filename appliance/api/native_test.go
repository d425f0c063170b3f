package api

import (
	"net/http"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// Clients whose base URL has no /v1 are served as those whose has.
func TestRoutesWithoutVersion(t *testing.T) {
	c := newClient(t, &fake{})
	c.get("/models").ok()
	c.get("/models/fake-135m").ok()
	with, without := c.post("/v1/chat/completions", chatBody+"}").ok(), c.post("/chat/completions", chatBody+"}").ok()
	if a, b := with.json("choices", 0, "message", "content"), without.json("choices", 0, "message", "content"); a != b {
		t.Errorf("%q, without /v1 %q", a, b)
	}
	c.post("/completions", `{"prompt": "x"}`).ok()
}

func TestLlamaServersRoutes(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	if r := c.get("/health").ok(); r.json("status") != "ok" {
		t.Errorf("health: %s", r.body)
	}
	if r := newClient(t, &fake{empty: true}).get("/health"); r.status != http.StatusServiceUnavailable {
		t.Errorf("health without a model: %d %s", r.status, r.body)
	}
	if r := c.get("/props").ok(); r.json("default_generation_settings", "n_ctx") != 4096.0 || r.json("chat_template") != fakeModel.Template {
		t.Errorf("props: %s", r.body)
	}
	if r := c.post("/tokenize", `{"content": "hä", "with_pieces": true}`).ok(); r.json("count") != 3.0 || r.json("tokens", 0, "piece") != "h" || r.json("tokens", 1, "piece", 0) != 195.0 {
		t.Errorf("tokenize: %s", r.body)
	}
	if r := c.post("/detokenize", `{"tokens": [104, 105], "odd": 1}`).ok(); r.json("content") != "hi" || r.json("skerry", "ignored", 0, "field") != "odd" {
		t.Errorf("detokenize: %s", r.body)
	}
	if r := c.post("/detokenize", `{"tokens": [1040]}`); r.status != 400 {
		t.Errorf("a token that is none: %d %s", r.status, r.body)
	}
	if r := c.post("/apply-template", `{"messages": [{"role": "user", "content": "hello"}]}`).ok(); !strings.Contains(r.body, "hello") {
		t.Errorf("apply-template: %s", r.body)
	}
}

func TestInfill(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := `{"input_prefix": "def f(", "prompt": "x", "input_suffix": ")", "n_predict": 4, "temperature": 0`
	whole := c.post("/infill", body+"}").ok()
	if q := f.last(); q.Prompt != "def f(x" || q.Suffix != ")" || !q.Raw || q.MaxTokens != 4 {
		t.Errorf("the backend was asked %+v", q)
	}
	if whole.json("stop") != true || whole.json("stop_type") != "limit" || whole.json("tokens_predicted") != 4.0 {
		t.Errorf("the reply is %s", whole.body)
	}
	events, _ := c.post("/infill", body+`, "stream": true}`).ok().events("Infilled")
	var text string
	for i, e := range events {
		text += dig(t, []byte(e.data), "content").(string)
		if stop := dig(t, []byte(e.data), "stop"); stop != (i == len(events)-1) {
			t.Errorf("event %d of %d: %s", i, len(events), e.data)
		}
	}
	if text != whole.json("content") {
		t.Errorf("streamed %q, whole %q", text, whole.json("content"))
	}
	if r := c.post("/infill", `{"input_prefix": "x"}`); r.status != 400 || r.json("error", "param") != "input_suffix" {
		t.Errorf("no suffix: %d %s", r.status, r.body)
	}
	broken := newClient(t, &fake{script: saying("half", &infer.Error{Code: infer.Internal, Message: "the weights are gone"})})
	if r := broken.post("/infill", body+`, "stream": true}`).ok(); !strings.Contains(r.body, "the weights are gone") {
		t.Errorf("a failure in the middle: %s", r.body)
	}
}
