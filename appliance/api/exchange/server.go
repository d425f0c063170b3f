// Package exchange is what OpenAI's and Ollama's API share: how a request is read and
// checked, an answer begun, followed and resumed, and a stream or an error written.
package exchange

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"skerry/appliance/infer"
)

// Settings of a server. The zero value is ready for use.
type Settings struct {
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
	// By says whose sessions a request may use; nil: everybody's.
	By func(*http.Request) infer.By
	// Manages says whether a request may unload models, which others use; nil: each may.
	Manages func(*http.Request) bool
	// Library keeps the models; nil: none is copied, removed or made over HTTP.
	Library infer.Library
	Log     *slog.Logger // nil: slog.Default
}

// Server is a backend as both APIs use it.
type Server struct {
	infer.Backend
	Settings
	noted *noted
}

// noted are the fields without effect that the log has.
type noted struct {
	sync.Mutex // guards all following
	fields     map[string]bool
}

// NewServer returns one, with the defaults of what is not set.
func NewServer(b infer.Backend, o Settings) *Server {
	o.MaxBody = cmp.Or(o.MaxBody, 4<<20)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Client == nil {
		o.Client = remoteHost
	}
	if o.By == nil {
		o.By = func(*http.Request) infer.By { return infer.By{Every: true} }
	}
	if o.Manages == nil {
		o.Manages = func(*http.Request) bool { return true }
	}
	return &Server{b, o, &noted{fields: map[string]bool{}}}
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "local" // a unix socket has no address
	}
	return host
}
