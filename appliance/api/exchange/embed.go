package exchange

import (
	"encoding/json"
	"math"
	"net/http"

	"skerry/appliance/infer"
)

// mostTexts of one request for embeddings.
const mostTexts = 2048

// EmbedInput is what embeddings are wanted of: a string, a list of strings, a list of token
// ids, or a list of those.
type EmbedInput []infer.EmbedText

// UnmarshalJSON returns a BadRequest for anything else.
func (e *EmbedInput) UnmarshalJSON(b []byte) error {
	var text *string
	var texts []string
	var tokens []Integer
	var lists [][]Integer
	*e = nil
	switch {
	case json.Unmarshal(b, &text) == nil:
		if text != nil {
			*e = EmbedInput{{Text: *text}}
		}
		return nil
	case json.Unmarshal(b, &texts) == nil:
		for _, t := range texts {
			*e = append(*e, infer.EmbedText{Text: t})
		}
		return nil
	case json.Unmarshal(b, &tokens) == nil:
		lists = [][]Integer{tokens}
	case json.Unmarshal(b, &lists) == nil:
	default:
		return BadRequest("input", "input must be a string, a list of strings, a list of token ids or a list of those")
	}
	for _, list := range lists {
		t := infer.EmbedText{Tokens: []int32{}}
		for _, id := range list {
			if id < 0 || id > math.MaxInt32 {
				return BadRequest("input", "token %d of input is none: token ids are from 0 to %d", int(id), math.MaxInt32)
			}
			t.Tokens = append(t.Tokens, int32(id))
		}
		*e = append(*e, t)
	}
	return nil
}

// EmbedNotes are what a reply with embeddings has in its field "skerry".
type EmbedNotes struct {
	// Pooling is how hidden states of the model became a vector.
	Pooling string `json:"pooling,omitempty"`
	// Truncated are the texts of which only the beginning was computed, by number.
	Truncated []int           `json:"truncated,omitempty"`
	Ignored   []infer.Ignored `json:"ignored,omitempty"`
}

// Notes on embeddings.
func Notes(e infer.Embeddings, ignored []infer.Ignored) EmbedNotes {
	return EmbedNotes{Pooling: e.Pooling, Truncated: e.Truncated, Ignored: ignored}
}

// Embed has the backend make embeddings, of a model by the name that the client has for it.
func (s *Server) Embed(r *http.Request, q infer.EmbedRequest, dimensions *Integer) (infer.Embeddings, error) {
	var none infer.Embeddings
	embedder, ok := s.Backend.(infer.Embedder)
	if !ok {
		return none, Refusal(http.StatusNotImplemented, "not_implemented", "this server makes no embeddings")
	}
	if n := len(q.Texts); n == 0 || n > mostTexts {
		return none, BadRequest("input", "input has %d texts: send 1 to %d at once", n, mostTexts)
	}
	if err := Within("dimensions", dimensions, 1, math.MaxInt32); err != nil {
		return none, err
	}
	q.Dimensions, q.Client = int(Value(dimensions)), s.Client(r)
	var err error
	if q.Model, err = s.Resolve(q.Model); err != nil {
		return none, err
	}
	return embedder.Embed(r.Context(), q)
}
