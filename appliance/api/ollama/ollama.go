// Package ollama speaks Ollama's API, below /api/: chats and generations, the models that
// there are, are loaded and may be fetched.
package ollama

import (
	"net/http"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// Route has the mux serve Ollama's API, /api/.
func Route(mux *http.ServeMux, b *exchange.Server) {
	s, on := server{b}, b.Route(mux, Shape{})
	on("/api/generate", "POST", s.generate)
	on("/api/chat", "POST", s.chat)
	on("/api/tags", "GET", s.tags)
	on("/api/ps", "GET", s.ps)
	on("/api/show", "POST", s.show)
	on("/api/pull", "POST", s.pull)
	on("/api/version", "GET", s.version)
	on("/api/embed", "POST", s.embed)
	on("/api/embeddings", "POST", s.oldEmbed)
	on("/api/push", "", notHere)
	if b.Library == nil {
		for _, verb := range []string{"create", "copy", "delete", "blobs/{digest}"} {
			on("/api/"+verb, "", notHere)
		}
	} else {
		on("/api/create", "POST", s.create)
		on("/api/copy", "POST", s.copy)
		on("/api/delete", "DELETE", s.delete)
		on("/api/blobs/{digest}", "HEAD, POST", s.blob)
	}
	on("/api/", "", exchange.Unknown)
}

type server struct{ *exchange.Server }

func notHere(_ http.ResponseWriter, r *http.Request) error {
	return exchange.Refusal(http.StatusNotImplemented, "not_implemented", "%s is not available over HTTP: prepare models on the board with skerry model (skerry model --help)", exchange.Clip(r.URL.Path))
}

func (s server) generate(w http.ResponseWriter, r *http.Request) error {
	var body generateRequest
	ignored, err := s.Read(w, r, &body, fields.Generate)
	if err != nil {
		return err
	}
	body.ignored = ignored
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.ollama(w, r, q, &body.ollamaCommon, false, body.Prompt == "")
}

func (s server) chat(w http.ResponseWriter, r *http.Request) error {
	var body ollamaChatRequest
	ignored, err := s.Read(w, r, &body, fields.OllamaChat)
	if err != nil {
		return err
	}
	body.ignored = ignored
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.ollama(w, r, q, &body.ollamaCommon, true, len(q.Messages) == 0)
}

// ollama answers q, or with nothing to answer loads or unloads the model.
func (s server) ollama(w http.ResponseWriter, r *http.Request, q infer.Request, c *ollamaCommon, chat, empty bool) error {
	if r.Header.Get("Last-Event-ID") != "" {
		return exchange.BadRequest("Last-Event-ID", "this API's stream has no event ids: follow /api/v1/sessions/{session}/answer instead")
	}
	if empty {
		return s.load(w, r, c, chat)
	}
	if err := s.prepare(r, &q, c); err != nil {
		return err
	}
	if s.Manages(r) { // else it is a wish that would be others' loss
		q.KeepAlive = (*time.Duration)(c.KeepAlive)
	}
	a, _, err := s.Begin(r, q, c.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	replies := &ollamaReplies{model: c.Model, chat: chat, logprobs: q.Logprobs, answer: a, ignored: c.ignored}
	if c.streams() {
		return s.ollamaStream(w, r, replies)
	}
	return s.ollamaWhole(w, r, replies)
}

// prepare refuses to have a model think that does not, and leaves out what does not fit
// where the client wants that.
func (s server) prepare(r *http.Request, q *infer.Request, c *ollamaCommon) error {
	m, err := s.Find(q.Model)
	if wants := string(c.Think); err == nil && m.Template != "" && exchange.Given(c.Think) && wants != `"none"` && !s.Thinks(m) {
		return exchange.BadRequest("think", "%q does not support thinking: leave think out", exchange.Clip(c.Model))
	}
	if !exchange.Value(c.Truncate) {
		return nil
	}
	named := *q
	if named.Model, err = s.Resolve(q.Model); err != nil {
		return err
	}
	note, err := s.Fit(r.Context(), &named)
	if note != "" {
		q.Messages, q.Prompt = named.Messages, named.Prompt
		c.ignored = append(c.ignored, infer.Ignored{Field: map[bool]string{true: "messages", false: "prompt"}[len(q.Messages) > 0], Why: note})
	}
	return err
}

// load is what Ollama's clients mean by an empty prompt.
func (s server) load(w http.ResponseWriter, r *http.Request, c *ollamaCommon, chat bool) error {
	name, err := s.Resolve(c.Model)
	if err != nil {
		return err
	}
	keep, reason := time.Duration(-1), "load"
	if c.KeepAlive != nil {
		keep = time.Duration(*c.KeepAlive)
	}
	if keep == 0 {
		reason = "unload"
	}
	if !s.Manages(r) {
		if keep == 0 {
			return infer.Errorf(infer.Forbidden, "keep_alive", "others may be using the model: unloading it requires a key of scope admin (skerry key scope, on the board)")
		}
		return s.loadFor(w, r, c, name, chat)
	}
	if c.KeepAlive == nil { // it stays as configured
		return s.loadFor(w, r, c, name, chat)
	}
	if err := s.Load(r.Context(), name, keep); err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, loaded(c.Model, chat, reason))
	return nil
}

// loadFor has the model loaded for who does not say for how long, or may not.
func (s server) loadFor(w http.ResponseWriter, r *http.Request, c *ollamaCommon, name string, chat bool) error {
	if err := s.Wake(r.Context(), name); err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, loaded(c.Model, chat, "load"))
	return nil
}

func (s server) ollamaWhole(w http.ResponseWriter, r *http.Request, o *ollamaReplies) error {
	all, err := s.Collect(r.Context(), o.answer)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, o.last(o.piece(all.Thought, all.Text, all.Tokens, all.Calls), all.End))
	return nil
}

func (s server) ollamaStream(w http.ResponseWriter, r *http.Request, o *ollamaReplies) error {
	out := s.Stream(w, "application/x-ndjson")
	err := s.Relay(r.Context(), o.answer, 0, func(e infer.Event) error { return o.send(out, e) }, nil)
	if err == nil || !out.Started {
		return err
	}
	out.Line(Shape{}.Fault(exchange.ProblemOf(err))) // nobody is left to tell of an error
	return nil
}

// send writes the lines of an event. How long there is to wait, in the queue or for a long
// prompt, is told in lines without text: clients take every line for a piece.
func (o *ollamaReplies) send(out *exchange.Stream, e infer.Event) error {
	if e.Err != nil {
		return e.Err
	}
	if e.Kind == infer.Queued && e.Queue > 0 || e.Kind == infer.Prefill && e.Done > e.Cached && e.Done < e.Total {
		line := o.piece("", "", nil, nil)
		if line.Queue = e.Queue; e.Kind == infer.Prefill {
			line.Progress = exchange.ProgressOf(o.answer, e)
		}
		return out.Line(line)
	}
	o.calls.Add(e.Calls)
	if e.Text != "" || e.Thought != "" || o.logprobs && len(e.Tokens) > 0 {
		if err := out.Line(o.piece(e.Thought, e.Text, e.Tokens, nil)); err != nil {
			return err
		}
	}
	if e.Kind != infer.End {
		return nil
	}
	if len(o.calls) > 0 {
		if err := out.Line(o.piece("", "", nil, o.calls)); err != nil {
			return err
		}
	}
	return out.Line(o.last(o.piece("", "", nil, nil), e))
}
