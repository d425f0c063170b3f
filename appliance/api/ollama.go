package api

import (
	"net/http"
	"time"

	"skerry/appliance/answer"
)

func (s *server) generate(w http.ResponseWriter, r *http.Request) error {
	var body generateRequest
	if err := s.decode(w, r, &body); err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.ollama(w, r, q, &body.ollamaCommon, false, body.Prompt == "")
}

func (s *server) chat(w http.ResponseWriter, r *http.Request) error {
	var body ollamaChatRequest
	if err := s.decode(w, r, &body); err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.ollama(w, r, q, &body.ollamaCommon, true, len(q.Messages) == 0)
}

// ollama answers q, or with nothing to answer loads or unloads the model.
func (s *server) ollama(w http.ResponseWriter, r *http.Request, q answer.Request, c *ollamaCommon, chat, empty bool) error {
	if r.Header.Get("Last-Event-ID") != "" {
		return bad("Last-Event-ID", "lines have no ids to go on from: follow /api/v1/sessions/{session}/answer")
	}
	if empty {
		return s.load(w, r, c, chat)
	}
	a, _, err := s.begin(r, q, c.Skerry)
	if err != nil {
		return err
	}
	tell(w, a)
	replies := &ollamaReplies{model: c.Model, chat: chat, logprobs: q.Logprobs, answer: a}
	if c.streams() {
		err = s.ollamaStream(w, r, replies)
	} else {
		err = s.ollamaWhole(w, r, replies)
	}
	if err == nil && c.KeepAlive != nil {
		if err := s.Load(r.Context(), a.Model(), time.Duration(*c.KeepAlive)); err != nil {
			s.Log.Warn("keep_alive had no effect", "error", err)
		}
	}
	return err
}

// load is what Ollama's clients mean by an empty prompt.
func (s *server) load(w http.ResponseWriter, r *http.Request, c *ollamaCommon, chat bool) error {
	name, err := s.resolve(c.Model)
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
	if err := s.Load(r.Context(), name, keep); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, loaded(c.Model, chat, reason))
	return nil
}

func (s *server) ollamaWhole(w http.ResponseWriter, r *http.Request, o *ollamaReplies) error {
	all, err := s.collect(r.Context(), o.answer)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, o.last(o.piece(all.text, all.tokens, all.calls), all.end))
	return nil
}

func (s *server) ollamaStream(w http.ResponseWriter, r *http.Request, o *ollamaReplies) error {
	out := s.stream(w, "application/x-ndjson")
	err := s.follow(r.Context(), o.answer, 0, func(e answer.Event) error { return o.send(out, e) }, nil)
	if err == nil || !out.started {
		return err
	}
	out.line(ollama{}.fault(problemOf(err))) // nobody is left to tell of an error
	return nil
}

// send writes the lines of an event. What a line has no place for (the queue, the
// prefill) is left out: clients take every line for a piece.
func (o *ollamaReplies) send(out *stream, e answer.Event) error {
	if e.Err != nil {
		return e.Err
	}
	o.calls.add(e.Calls)
	if e.Text != "" || o.logprobs && len(e.Tokens) > 0 {
		if err := out.line(o.piece(e.Text, e.Tokens, nil)); err != nil {
			return err
		}
	}
	if e.Kind != answer.End {
		return nil
	}
	if len(o.calls) > 0 {
		if err := out.line(o.piece("", nil, o.calls)); err != nil {
			return err
		}
	}
	return out.line(o.last(o.piece("", nil, nil), e))
}
