// Package api speaks HTTP to the clients people have: OpenAI's and Ollama's shapes
// over one answer.Backend. What neither shape has a place for is in the one extra
// field "skerry" (answer.Truth). It knows nothing of keys, origins and rates; who
// wraps the handler does.
package api

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"time"

	"skerry/appliance/answer"
)

// Options of New. The zero value is ready for use.
type Options struct {
	// Version of the program, told by /api/version and the OpenAPI document.
	Version string
	// MaxBody of a request in bytes, 0: 4 MiB. A longer one is a 413.
	MaxBody int64
	// KeepAlive between comment lines of a stream on which nothing is said, 0: 15 s.
	KeepAlive time.Duration
	// Stall is how long one write may take before its reader is dropped, 0: 30 s.
	Stall time.Duration
	// Client names who asks, for fairness between them; nil: the remote address.
	Client func(*http.Request) string
	Log    *slog.Logger // nil: slog.Default
}

// Patterns are what the handler of New serves, as http.ServeMux has them, for who
// puts it beside other handlers of /api/.
var Patterns = []string{"/v1/", "/api/", "/api/v1/openapi.json", "/api/v1/sessions/{session}/answer"}

// New serves OpenAI's /v1/ and Ollama's /api/, /api/v1/openapi.json, and the raw
// events of a session's answer at /api/v1/sessions/{session}/answer.
func New(b answer.Backend, o Options) http.Handler {
	o.MaxBody = cmp.Or(o.MaxBody, 4<<20)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Client == nil {
		o.Client = remoteHost
	}
	return (&server{b, o}).routes()
}

type server struct {
	answer.Backend
	Options
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "local" // a unix socket has no address
	}
	return host
}
