package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// embeddingsRequest is the body of /v1/embeddings. Truncate is no field of OpenAI's; the last
// two are vLLM's.
type embeddingsRequest struct {
	Model      string              `json:"model"`
	Input      exchange.EmbedInput `json:"input"`
	Dimensions *exchange.Integer   `json:"dimensions"`
	Encoding   *string             `json:"encoding_format"`
	Truncate   bool                `json:"truncate"`
	Normalize  *bool               `json:"normalize"`
	Special    *bool               `json:"add_special_tokens"`
}

// embeddings are the reply. A vector is a list of numbers, or text in base64.
type embeddings struct {
	Object string              `json:"object"`
	Data   []embedding         `json:"data"`
	Model  string              `json:"model"`
	Usage  embeddingsUsage     `json:"usage"`
	Skerry exchange.EmbedNotes `json:"skerry"`
}

type embedding struct {
	Object string `json:"object"`
	Index  int    `json:"index"`
	Vector any    `json:"embedding"`
}

type embeddingsUsage struct {
	Prompt int `json:"prompt_tokens"`
	Total  int `json:"total_tokens"`
}

func (s server) embeddings(w http.ResponseWriter, r *http.Request) error {
	var body embeddingsRequest
	ignored, err := s.Read(w, r, &body, fields.Embeddings)
	if err != nil {
		return err
	}
	if body.Normalize != nil && !*body.Normalize {
		return exchange.BadRequest("normalize", "normalize is false: vectors have length 1 here; leave it out")
	}
	if body.Special != nil && !*body.Special {
		return exchange.BadRequest("add_special_tokens", "add_special_tokens is false: send the token ids that /tokenize makes of the text")
	}
	form := "float"
	if body.Encoding != nil {
		form = *body.Encoding
	}
	if form != "float" && form != "base64" {
		return exchange.BadRequest("encoding_format", "encoding_format is %q: it must be float or base64", exchange.Clip(form))
	}
	q := infer.EmbedRequest{Model: body.Model, Texts: body.Input, Truncate: body.Truncate}
	made, err := s.Embed(r, q, body.Dimensions)
	if err != nil {
		return err
	}
	reply := embeddings{Object: "list", Model: made.Model, Usage: embeddingsUsage{made.Tokens, made.Tokens}, Skerry: exchange.Notes(made, ignored)}
	for i, v := range made.Vectors {
		one := embedding{Object: "embedding", Index: i, Vector: v}
		if form == "base64" {
			one.Vector = base64Of(v)
		}
		reply.Data = append(reply.Data, one)
	}
	exchange.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// base64Of is a vector's float32 values, the low byte first, in base64.
func base64Of(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return base64.StdEncoding.EncodeToString(b)
}
