package ollama

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// copy gives a model a further name.
func (s server) copy(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	}
	if err := s.Decode(w, r, &body); err != nil {
		return err
	}
	for param, v := range map[string]string{"source": body.Source, "destination": body.Destination} {
		if strings.TrimSpace(v) == "" {
			return exchange.BadRequest(param, "%s is required", param)
		}
	}
	if err := s.Library.Copy(r.Context(), body.Source, body.Destination); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// delete takes a name from a model, and its files with the last one.
func (s server) delete(w http.ResponseWriter, r *http.Request) error {
	name, err := s.modelName(w, r, nil)
	if err != nil {
		return err
	}
	if err := s.Library.Delete(r.Context(), name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// blob says whether a file is here, or takes it in.
func (s server) blob(w http.ResponseWriter, r *http.Request) error {
	digest := r.PathValue("digest")
	if r.Method == http.MethodHead {
		has, err := s.Library.HasBlob(digest)
		if err == nil && !has {
			err = infer.Errorf(infer.NoModel, "digest", "%s is not here: upload it", exchange.Clip(digest))
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := s.Library.PutBlob(r.Context(), digest, r.ContentLength, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// createRequest is what Ollama's clients send to make a model.
type createRequest struct {
	Model    string            `json:"model"`
	Name     string            `json:"name"`
	From     string            `json:"from"`
	Files    map[string]string `json:"files"`
	Quantize string            `json:"quantize"`
	Quantise string            `json:"quantization"`
	Stream   *bool             `json:"stream"`

	System     json.RawMessage `json:"system"`
	Template   json.RawMessage `json:"template"`
	Parameters json.RawMessage `json:"parameters"`
	Messages   json.RawMessage `json:"messages"`
	Adapters   json.RawMessage `json:"adapters"`
	Modelfile  json.RawMessage `json:"modelfile"`
	Licence    json.RawMessage `json:"license"`
	Renderer   json.RawMessage `json:"renderer"`
	Parser     json.RawMessage `json:"parser"`
}

// notMade is what a model is not made with, and what to do instead.
func (b *createRequest) notMade() error {
	for _, f := range []struct {
		name, instead string
		value         json.RawMessage
	}{
		{"system", "send a system message with each conversation", b.System},
		{"template", "the model's own is used", b.Template},
		{"parameters", "send options with each request", b.Parameters},
		{"messages", "send them with each conversation", b.Messages},
		{"adapters", "merge them into the model before it is converted", b.Adapters},
		{"modelfile", "send from, or files with the digests of what was uploaded", b.Modelfile},
		{"license", "the file's own is shown", b.Licence},
		{"renderer", "the model's own template is used", b.Renderer},
		{"parser", "the model's own template is used", b.Parser},
	} {
		if v := string(f.value); exchange.Given(f.value) && v != `""` && v != "{}" && v != "[]" {
			return exchange.BadRequest(f.name, "a model is not made with %s: %s", f.name, f.instead)
		}
	}
	return nil
}

// creation is what is to be made.
func (b *createRequest) creation() (c infer.Creation, err error) {
	if err := b.notMade(); err != nil {
		return c, err
	}
	c = infer.Creation{Name: strings.TrimSpace(cmp.Or(b.Model, b.Name)), From: b.From, Quantize: cmp.Or(b.Quantize, b.Quantise)}
	files := slices.Sorted(maps.Keys(b.Files))
	switch {
	case c.Name == "":
		return c, exchange.BadRequest("model", "model is required")
	case c.From == "" && len(files) == 0:
		return c, exchange.BadRequest("files", "give from, a model that is here, or files, with the digest of a GGUF that was uploaded to /api/blobs")
	case c.From != "" && len(files) > 0:
		return c, exchange.BadRequest("files", "give from or files, not both")
	case c.From != "" && c.Quantize != "":
		return c, exchange.BadRequest("quantize", "a model that is here stays as it is: upload its file to have it stored in another type")
	}
	var projectors []string
	files = slices.DeleteFunc(files, func(f string) bool {
		is := strings.HasPrefix(strings.ToLower(path.Base(f)), "mmproj")
		if is {
			projectors = append(projectors, f)
		}
		return is
	})
	switch {
	case len(files) > 1 || len(projectors) > 1 || len(files) < len(projectors):
		return c, exchange.BadRequest("files", "a model is made of one GGUF, with one beside it by which it reads images (mmproj*.gguf), and these are %d files: join those of one model with llama-gguf-split", len(b.Files))
	case len(projectors) == 1:
		c.Projector = b.Files[projectors[0]]
		fallthrough
	case len(files) == 1:
		c.File, c.Digest = files[0], b.Files[files[0]]
	}
	return c, nil
}

// create makes a model.
func (s server) create(w http.ResponseWriter, r *http.Request) error {
	var body createRequest
	if err := s.Decode(w, r, &body); err != nil {
		return err
	}
	c, err := body.creation()
	if err != nil {
		return err
	}
	return s.work(w, r, body.Stream == nil || *body.Stream, func(ctx context.Context, progress func(infer.Progress)) error {
		return s.Library.Create(ctx, c, progress)
	})
}
