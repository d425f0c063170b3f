// Package api speaks HTTP to the clients people have: the shapes of OpenAI's,
// Ollama's and the Messages API over one infer.Backend, each in a package of its own;
// package exchange has what they share, package fields every field of their requests. What neither shape has a place for is in the one extra field "skerry"
// (infer.Provenance). It knows nothing of keys, origins and rates; who wraps the handler
// does.
package api

import (
	"net/http"

	"skerry/appliance/api/anthropic"
	"skerry/appliance/api/exchange"
	"skerry/appliance/api/ollama"
	"skerry/appliance/api/openai"
	"skerry/appliance/infer"
)

// Options of New. The zero value is ready for use.
type Options = exchange.Settings

// Patterns are what the handler of New serves, as http.ServeMux has them, for who
// puts it beside other handlers of /api/.
var Patterns = append([]string{"/v1/", "/api/", "/api/v1/openapi.json", "/api/v1/sessions/{session}/answer"}, openai.Patterns...)

// New serves OpenAI's /v1/ and Ollama's /api/, /api/v1/openapi.json, and the raw
// events of a session's answer at /api/v1/sessions/{session}/answer: GET looks at it,
// POST goes on with one that was cut.
func New(b infer.Backend, o Options) http.Handler {
	mux := http.NewServeMux()
	s := exchange.NewServer(b, o)
	openai.Route(mux, s)
	anthropic.Route(mux, s)
	ollama.Route(mux, s)
	own := ownServer{s}
	on := s.Route(mux, openai.Shape{})
	on("/api/v1/openapi.json", "GET", own.openapi)
	on("/api/v1/sessions/{session}/answer", "GET, POST", own.sessionAnswer)
	return mux
}

// ownServer serves what is of neither API.
type ownServer struct{ *exchange.Server }
