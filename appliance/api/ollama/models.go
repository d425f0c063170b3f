package ollama

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// ollamaVersion is the release of Ollama whose API these handlers speak: clients
// ask for it to know what they may send.
const ollamaVersion = "0.17.4"

func (s server) version(w http.ResponseWriter, r *http.Request) error {
	exchange.WriteJSON(w, http.StatusOK, map[string]string{"version": ollamaVersion, "skerry": s.Version})
	return nil
}

type ollamaDetails struct {
	Parent       string   `json:"parent_model"`
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

func details(m infer.Model) ollamaDetails {
	return ollamaDetails{"", "gguf", m.Architecture, []string{m.Architecture}, parameters(m.Parameters), m.Quantization}
}

// parameters as Ollama writes a number of them: 134.52M.
func parameters(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}

type ollamaModel struct {
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Modified *time.Time    `json:"modified_at,omitempty"`
	Size     int64         `json:"size"`
	Digest   string        `json:"digest"`
	Details  ollamaDetails `json:"details"`
	// Of those that are loaded.
	Expires *time.Time `json:"expires_at,omitempty"`
	VRAM    *int64     `json:"size_vram,omitempty"`
	Context int        `json:"context_length,omitempty"`
}

func listed(m infer.Model) ollamaModel {
	return ollamaModel{Name: exchange.Tagged(m.Name), Model: exchange.Tagged(m.Name), Size: m.Bytes, Digest: m.Digest, Details: details(m)}
}

func (s server) tags(w http.ResponseWriter, r *http.Request) error {
	list := []ollamaModel{}
	for _, m := range s.Models() {
		one := listed(m)
		one.Modified = &m.Modified
		list = append(list, one)
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]any{"models": list})
	return nil
}

// never is when a model that stays loaded is unloaded, as Ollama has it.
var never = time.Date(2318, 1, 1, 0, 0, 0, 0, time.UTC)

func (s server) ps(w http.ResponseWriter, r *http.Request) error {
	list := []ollamaModel{}
	for _, m := range s.Models() {
		if !m.Loaded {
			continue
		}
		one := listed(m)
		one.Size, one.Context = cmp.Or(m.LoadedBytes, m.Bytes), m.Context
		one.Expires, one.VRAM = &never, new(int64)
		if !m.Expires.IsZero() {
			one.Expires = &m.Expires
		}
		list = append(list, one)
	}
	exchange.WriteJSON(w, http.StatusOK, map[string]any{"models": list})
	return nil
}

type ollamaShown struct {
	Licence      string         `json:"license,omitempty"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	Details      ollamaDetails  `json:"details"`
	Info         map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	Modified     time.Time      `json:"modified_at"`
}

func (s server) show(w http.ResponseWriter, r *http.Request) error {
	name, err := s.modelName(w, r, nil)
	if err != nil {
		return err
	}
	m, err := s.Find(name)
	if err != nil {
		return err
	}
	can := []string{"completion"}
	if m.Tools {
		can = append(can, "tools")
	}
	if m.Vision {
		can = append(can, "vision")
	}
	if s.Thinks(m) {
		can = append(can, "thinking")
	}
	// That it makes embeddings is not among what it can: to Ollama's own client that says that
	// it makes nothing else, and it would no longer chat. The information on the model says it.
	arch := m.Architecture
	exchange.WriteJSON(w, http.StatusOK, ollamaShown{
		Licence: m.Licence, Template: m.Template, Details: details(m), Capabilities: can, Modified: m.Modified,
		Modelfile: "FROM " + m.Name + "\n", Parameters: fmt.Sprintf("num_ctx %d", m.Context),
		Info: map[string]any{
			"general.architecture": arch, "general.basename": m.Name, "general.parameter_count": m.Parameters,
			arch + ".context_length": m.Trained, arch + ".embedding_length": m.Embedding, arch + ".block_count": m.Blocks,
			"skerry.exits": m.Exits, "skerry.embeddings": m.Embeds,
		},
	})
	return nil
}

// modelName of a request that names one, under either of Ollama's two fields, and
// whether the reply may be streamed.
func (s server) modelName(w http.ResponseWriter, r *http.Request, stream *bool) (string, error) {
	var body struct {
		Model  string `json:"model"`
		Name   string `json:"name"`
		Stream *bool  `json:"stream"`
	}
	if err := s.Decode(w, r, &body); err != nil {
		return "", err
	}
	if stream != nil {
		*stream = body.Stream == nil || *body.Stream
	}
	name := strings.TrimSpace(cmp.Or(body.Model, body.Name))
	if name == "" {
		return "", exchange.BadRequest("model", "model is required")
	}
	return name, nil
}
