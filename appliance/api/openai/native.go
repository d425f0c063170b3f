package openai

import (
	"net/http"
	"unicode/utf8"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// This file has routes of llama.cpp's server that clients of OpenAI's API use beside it:
// whether it is there, what it has, and its tokenizer and template.

// health says that requests are taken. While a model is loading they wait.
func (s server) health(w http.ResponseWriter, r *http.Request) error {
	if len(s.Models()) == 0 {
		return &exchange.Problem{Said: infer.Error{Code: infer.Unavailable, Message: "there is no model yet: skerry model pull fetches one"}, Status: 503, Kind: "unavailable_error", Code: "unavailable"}
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

// props are what a client may want to know before it asks.
func (s server) props(w http.ResponseWriter, r *http.Request) error {
	m, err := s.Find(r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]any{
		"model_alias": m.Name, "chat_template": m.Template, "build_info": "skerry " + s.Version,
		"default_generation_settings": map[string]any{"n_ctx": m.Context},
		"modalities":                  map[string]bool{"vision": m.Vision, "audio": false},
	})
	return nil
}

// tokenizer of the backend.
func (s server) tokenizer() (infer.Tokenizer, error) {
	t, ok := s.Backend.(infer.Tokenizer)
	if !ok {
		return nil, exchange.Refusal(http.StatusNotImplemented, "not_implemented", "this server does not tokenize")
	}
	return t, nil
}

// tokenizeRequest is the body of /tokenize. Prompt is vLLM's name for Content.
type tokenizeRequest struct {
	Model   string `json:"model"`
	Content string `json:"content"`
	Prompt  string `json:"prompt"`
	Special bool   `json:"add_special"`
	Markup  *bool  `json:"parse_special"`
	Pieces  bool   `json:"with_pieces"`
}

// tokenPiece is a token with its text, or with its bytes where they are no whole text.
type tokenPiece struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

func (s server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var body tokenizeRequest
	ignored, err := s.Read(w, r, &body, fields.Tokenize)
	if err != nil {
		return err
	}
	t, err := s.tokenizer()
	if err != nil {
		return err
	}
	model, err := s.Resolve(body.Model)
	if err != nil {
		return err
	}
	ids, err := t.Tokenize(r.Context(), model, body.Content+body.Prompt, body.Special, body.Markup == nil || *body.Markup)
	if err != nil {
		return err
	}
	tokens := []any{}
	for _, id := range ids {
		tokens = append(tokens, id)
	}
	if body.Pieces {
		pieces, err := t.Pieces(r.Context(), model, ids)
		if err != nil {
			return err
		}
		for i, p := range pieces {
			one := tokenPiece{ids[i], string(p)}
			if !utf8.Valid(p) {
				bytes := []int{}
				for _, b := range p {
					bytes = append(bytes, int(b))
				}
				one.Piece = bytes
			}
			tokens[i] = one
		}
	}
	exchange.WriteJSON(w, http.StatusOK, withIgnored(map[string]any{"tokens": tokens, "count": len(tokens)}, ignored))
	return nil
}

// withIgnored adds to a reply that has no provenance what of the request had no effect.
func withIgnored(reply map[string]any, ignored []infer.Ignored) map[string]any {
	if len(ignored) > 0 {
		reply["skerry"] = map[string]any{"ignored": ignored}
	}
	return reply
}

func (s server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Model  string  `json:"model"`
		Tokens []int32 `json:"tokens"`
	}
	ignored, err := s.Read(w, r, &body, fields.Detokenize)
	if err != nil {
		return err
	}
	t, err := s.tokenizer()
	if err != nil {
		return err
	}
	model, err := s.Resolve(body.Model)
	if err != nil {
		return err
	}
	pieces, err := t.Pieces(r.Context(), model, body.Tokens)
	if err != nil {
		return err
	}
	var text []byte
	for _, p := range pieces {
		text = append(text, p...)
	}
	exchange.WriteJSON(w, http.StatusOK, withIgnored(map[string]any{"content": string(text)}, ignored))
	return nil
}

// applyTemplate shows the prompt that a chat becomes.
func (s server) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	var body chatRequest
	ignored, err := s.Read(w, r, &body, fields.ApplyTemplate)
	if err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	t, err := s.tokenizer()
	if err != nil {
		return err
	}
	if q.Model, err = s.Resolve(q.Model); err != nil {
		return err
	}
	if err := s.ReadImages(&q); err != nil {
		return err
	}
	text, err := t.Render(r.Context(), q)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, withIgnored(map[string]any{"prompt": text}, append(ignored, s.Unheard(q, &body.Thinking)...)))
	return nil
}
