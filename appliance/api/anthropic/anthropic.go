// Package anthropic speaks the Messages API: text and tools, whole or streamed, and the
// count of tokens, at /v1/messages.
package anthropic

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// Route has the mux serve /v1/messages.
func Route(mux *http.ServeMux, b *exchange.Server) {
	s, on := server{b}, b.Route(mux, Shape{})
	on("/v1/messages", "POST", s.messages)
	on("/v1/messages/count_tokens", "POST", s.countTokens)
}

type server struct{ *exchange.Server }

func (s server) messages(w http.ResponseWriter, r *http.Request) error {
	var body messagesRequest
	ignored, err := s.Read(w, r, &body, fields.Messages)
	if err != nil {
		return err
	}
	if body.MaxTokens == nil {
		return exchange.BadRequest("max_tokens", "max_tokens is missing: say how long the answer may be, or -1 for all that fits")
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	a, _, err := s.Begin(r, q, body.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	w.Header().Set("Request-Id", a.ID())
	if body.Stream {
		return s.stream(w, r, a, ignored)
	}
	all, err := s.Collect(r.Context(), a)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, whole(a, all, ignored))
	return nil
}

func (s server) countTokens(w http.ResponseWriter, r *http.Request) error {
	var body messagesRequest
	if _, err := s.Read(w, r, &body, fields.CountTokens); err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	if q.Model, err = s.Resolve(q.Model); err != nil {
		return err
	}
	if err := s.ReadImages(&q); err != nil {
		return err
	}
	n, err := s.Count(r.Context(), q)
	if err != nil && n == 0 { // a prompt that does not fit is counted all the same
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]int{"input_tokens": n})
	return nil
}

// message is a reply, whole or, with nothing in it, as a stream begins.
type message struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Role     string            `json:"role"`
	Model    string            `json:"model"`
	Content  []block           `json:"content"`
	Reason   *string           `json:"stop_reason"`
	Sequence *string           `json:"stop_sequence"`
	Usage    usage             `json:"usage"`
	Skerry   *infer.Provenance `json:"skerry,omitempty"`
}

// usage in tokens. Input are those of the prompt that were computed, Cached the others.
type usage struct {
	Input  int `json:"input_tokens"`
	Cached int `json:"cache_read_input_tokens"`
	Made   int `json:"cache_creation_input_tokens"`
	Output int `json:"output_tokens"`
}

func usageOf(u infer.Usage) usage {
	return usage{Input: u.Prompt - u.Cached, Cached: u.Cached, Output: u.Completion}
}

// block of a reply's content.
type block struct {
	Type     string  `json:"type"`
	Text     *string `json:"text,omitempty"`
	Thinking *string `json:"thinking,omitempty"`
	// Signature of thoughts is what their maker knows them by; nobody else needs it.
	Signature *string `json:"signature,omitempty"`
	ID        string  `json:"id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Input     any     `json:"input,omitempty"`
}

func textBlock(text string) block { return block{Type: "text", Text: &text} }

func thinkingBlock(text string) block {
	return block{Type: "thinking", Thinking: &text, Signature: new(string)}
}

func messageOf(a infer.Answer) message {
	return message{ID: "msg_" + a.ID(), Type: "message", Role: "assistant", Model: a.Model(), Content: []block{}}
}

func whole(a infer.Answer, all exchange.Whole, ignored []infer.Ignored) message {
	m := messageOf(a)
	if all.Thought != "" {
		m.Content = append(m.Content, thinkingBlock(all.Thought))
	}
	if all.Text != "" || len(all.Calls) == 0 {
		m.Content = append(m.Content, textBlock(all.Text))
	}
	for _, c := range all.Calls {
		m.Content = append(m.Content, block{Type: "tool_use", ID: c.ID, Name: c.Name, Input: exchange.Object(c.Arguments)})
	}
	m.Reason, m.Sequence = reason(all.End)
	m.Usage, m.Skerry = usageOf(all.End.Usage), exchange.Provenance(a, all.End, ignored)
	return m
}

// reason why an answer ended, and the stop string that it met.
func reason(e infer.Event) (why, sequence *string) {
	word := "end_turn"
	switch {
	case e.Finish == infer.ToolCalls:
		word = "tool_use"
	case e.Finish == infer.Length || e.Finish == infer.Cancelled:
		word = "max_tokens"
	case e.StopString != "":
		word, sequence = "stop_sequence", &e.StopString
	}
	return &word, sequence
}
