package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Handler writes a reply, or returns an error before it has written anything.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Route has the mux serve an API: paths with the methods they take, "" for any, and
// errors in the shape that the API's clients read.
func (s *Server) Route(mux *http.ServeMux, sh Shape) func(path, methods string, h Handler) {
	return func(path, methods string, h Handler) { mux.Handle(path, s.serve(methods, sh, h)) }
}

// serve refuses other methods than these, "" for any, and writes what h returns.
func (s *Server) serve(methods string, sh Shape, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := Refusal(http.StatusMethodNotAllowed, "method_not_allowed", "%s does not accept %s: send %s", Clip(r.URL.Path), r.Method, methods)
		takes := func(m string) bool { return slices.Contains(strings.Split(methods, ", "), m) }
		if methods == "" || takes(r.Method) || r.Method == http.MethodHead && takes(http.MethodGet) {
			err = h(w, r)
		} else {
			w.Header().Set("Allow", methods)
		}
		if err == nil || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			return
		}
		p := ProblemOf(err)
		if p.Status == http.StatusInternalServerError {
			s.Log.Error("request failed", "path", r.URL.Path, "error", err)
		}
		p.write(w, sh)
	})
}

// Unknown answers what there is no route for.
func Unknown(_ http.ResponseWriter, r *http.Request) error {
	return Refusal(http.StatusNotFound, "unknown_url", "there is no %s %s here: see /api/v1/openapi.json for what there is", r.Method, Clip(r.URL.Path))
}

// Clip keeps what a client sent from filling an error message.
func Clip(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// stalled is how long the one write of a reply may take that is no stream.
const stalled = 30 * time.Second

// WriteJSON writes a whole reply.
func WriteJSON(w http.ResponseWriter, status int, v any) {
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
