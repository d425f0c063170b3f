package ollama

import (
	"encoding/json"
	"net/http"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// embedRequest is the body of /api/embed, and with Prompt in place of Input that of
// /api/embeddings. Options are read and have no effect, which the table says.
type embedRequest struct {
	Model      string              `json:"model"`
	Input      exchange.EmbedInput `json:"input"`
	Prompt     string              `json:"prompt"`
	Dimensions *exchange.Integer   `json:"dimensions"`
	Truncate   *bool               `json:"truncate"` // true if missing
	KeepAlive  *keepAlive          `json:"keep_alive"`
	Options    json.RawMessage     `json:"options"`
}

type embedReply struct {
	Model   string              `json:"model"`
	Vectors [][]float32         `json:"embeddings"`
	Total   int64               `json:"total_duration"` // ns
	Load    int64               `json:"load_duration"`
	Tokens  int                 `json:"prompt_eval_count"`
	Skerry  exchange.EmbedNotes `json:"skerry"`
}

func (s server) embed(w http.ResponseWriter, r *http.Request) error {
	var body embedRequest
	ignored, err := s.Read(w, r, &body, fields.Embed)
	if err != nil {
		return err
	}
	made, err := s.embedded(r, &body)
	if err != nil {
		return err
	}
	reply := embedReply{
		Model: body.Model, Vectors: made.Vectors, Tokens: made.Tokens, Skerry: exchange.Notes(made, ignored),
		Total: made.Total.Nanoseconds(), Load: made.Load.Nanoseconds(),
	}
	if reply.Vectors == nil {
		reply.Vectors = [][]float32{}
	}
	exchange.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// oldEmbed is of the route that takes one text.
func (s server) oldEmbed(w http.ResponseWriter, r *http.Request) error {
	var body embedRequest
	ignored, err := s.Read(w, r, &body, fields.OldEmbed)
	if err != nil {
		return err
	}
	body.Input = exchange.EmbedInput{{Text: body.Prompt}}
	made, err := s.embedded(r, &body)
	if err != nil {
		return err
	}
	vector := []float32{}
	if len(made.Vectors) > 0 {
		vector = made.Vectors[0]
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]any{"embedding": vector, "skerry": exchange.Notes(made, ignored)})
	return nil
}

// embedded makes the vectors, and where there is no text loads the model, as Ollama does.
func (s server) embedded(r *http.Request, body *embedRequest) (made infer.Embeddings, err error) {
	if body.Model == "" {
		return made, exchange.BadRequest("model", "model is required")
	}
	if n := len(body.Input); n == 0 || n == 1 && body.Input[0].Text == "" && len(body.Input[0].Tokens) == 0 {
		if made.Model, err = s.Resolve(body.Model); err == nil {
			err = s.Wake(r.Context(), made.Model)
		}
	} else {
		q := infer.EmbedRequest{Model: body.Model, Texts: body.Input, Truncate: body.Truncate == nil || *body.Truncate}
		made, err = s.Embed(r, q, body.Dimensions)
	}
	if err == nil && body.KeepAlive != nil && s.Manages(r) { // else a wish that others' answers overrule
		if err := s.Load(r.Context(), made.Model, time.Duration(*body.KeepAlive)); err != nil {
			s.Log.Warn("keep_alive had no effect", "error", err)
		}
	}
	return made, err
}
