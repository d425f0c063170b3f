package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// handler writes a reply, or returns an error before it has written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	on := func(path, methods string, sh shape, h handler) { mux.Handle(path, s.serve(methods, sh, h)) }

	on("/v1/models", "GET", openAI{}, s.models)
	on("/v1/models/{id...}", "GET", openAI{}, s.model)
	on("/v1/chat/completions", "POST", openAI{}, s.chatCompletions)
	on("/v1/completions", "POST", openAI{}, s.completions)
	on("/v1/embeddings", "POST", openAI{}, noEmbeddings)
	on("/v1/", "", openAI{}, unknown)

	on("/api/generate", "POST", ollama{}, s.generate)
	on("/api/chat", "POST", ollama{}, s.chat)
	on("/api/tags", "GET", ollama{}, s.tags)
	on("/api/ps", "GET", ollama{}, s.ps)
	on("/api/show", "POST", ollama{}, s.show)
	on("/api/pull", "POST", ollama{}, s.pull)
	on("/api/version", "GET", ollama{}, s.version)
	on("/api/embed", "POST", ollama{}, noEmbeddings)
	on("/api/embeddings", "POST", ollama{}, noEmbeddings)
	for _, verb := range []string{"create", "copy", "delete", "push", "blobs/{digest}"} {
		on("/api/"+verb, "", ollama{}, notHere)
	}
	on("/api/", "", ollama{}, unknown)

	on("/api/v1/openapi.json", "GET", openAI{}, s.openapi)
	on("/api/v1/sessions/{session}/answer", "GET", openAI{}, s.sessionAnswer)
	return mux
}

// serve refuses other methods than the one, "" for any, and writes what h returns.
func (s *server) serve(method string, sh shape, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := refusal(http.StatusMethodNotAllowed, "method_not_allowed", "%s does not take %s: send %s", clip(r.URL.Path), r.Method, method)
		if method == "" || r.Method == method || r.Method == http.MethodHead && method == http.MethodGet {
			err = h(w, r)
		} else {
			w.Header().Set("Allow", method)
		}
		if err == nil || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			return
		}
		p := problemOf(err)
		if p.status == http.StatusInternalServerError {
			s.Log.Error("request failed", "path", r.URL.Path, "error", err)
		}
		p.write(w, sh)
	})
}

func unknown(_ http.ResponseWriter, r *http.Request) error {
	return refusal(http.StatusNotFound, "unknown_url", "there is no %s %s here: see /api/v1/openapi.json for what there is", r.Method, clip(r.URL.Path))
}

func noEmbeddings(http.ResponseWriter, *http.Request) error {
	return refusal(http.StatusNotImplemented, "not_implemented", "this server makes no embeddings: ask an embedding server for them")
}

func notHere(_ http.ResponseWriter, r *http.Request) error {
	return refusal(http.StatusNotImplemented, "not_implemented", "%s is not to be had over HTTP: prepare models on the board with skerry model (skerry model --help)", clip(r.URL.Path))
}

// clip keeps what a client sent from filling an error message.
func clip(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// stalled is how long the one write of a reply may take that is no stream.
const stalled = 30 * time.Second

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		body, status = []byte(`{"error":{"message":"the reply is no JSON","type":"server_error","param":null,"code":"internal"}}`), 500
	}
	deadline(w, stalled)
	defer deadline(w, 0)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
