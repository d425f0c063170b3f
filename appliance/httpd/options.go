package httpd

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options of Listen. Zero limits have the defaults of the configuration.
type Options struct {
	Listen       []string // HOST:PORT
	OllamaListen []string // the same once more, for Ollama's clients
	Socket       string   // path of the unix socket, "" for none
	// Inherited listeners, of socket activation: TCP ones stand in for Listen, unix
	// ones for Socket.
	Inherited []net.Listener
	// CertFile and KeyFile make listeners other than loopback speak TLS.
	CertFile, KeyFile string

	Keys   *Keys
	Policy Policy

	Header            int           // bytes of a request's header
	Connections       int           // of each kind of listener
	ClientConnections int           // of one client over the LAN
	Streams           int           // that are Endless, over the LAN
	ClientStreams     int           // of one key, of those
	HeaderTimeout     time.Duration // for a header to be there
	WriteStall        time.Duration // for a client to take what is written
	IdleTimeout       time.Duration // of a connection without a request

	// Scope is what a request over the LAN wants the key to be for; nil or "": any
	// key will do.
	Scope func(*http.Request) Scope
	// Endless says which requests end only with their client; a shutdown ends them
	// at once.
	Endless func(*http.Request) bool
	// Uploads says which requests bring a file: its size is for the handler to bound, and
	// BodyTimeout for each piece of it to come.
	Uploads func(*http.Request) bool
	// Loopback says whether only this machine reaches an address; IsLoopback unless
	// a test has another.
	Loopback func(net.Addr) bool
	Now      func() time.Time
	Log      *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Header = cmp.Or(o.Header, 64_000)
	o.Connections = cmp.Or(o.Connections, 512)
	o.ClientConnections = cmp.Or(o.ClientConnections, 64)
	o.Streams = cmp.Or(o.Streams, 24)
	o.ClientStreams = cmp.Or(o.ClientStreams, 8)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.WriteStall = cmp.Or(o.WriteStall, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.Policy.Body = cmp.Or(o.Policy.Body, 8_000_000)
	o.Policy.BodyTimeout = cmp.Or(o.Policy.BodyTimeout, 30*time.Second)
	if o.Scope == nil {
		o.Scope = func(*http.Request) Scope { return "" }
	}
	if o.Endless == nil {
		o.Endless = func(*http.Request) bool { return false }
	}
	if o.Uploads == nil {
		o.Uploads = func(*http.Request) bool { return false }
	}
	if o.Loopback == nil {
		o.Loopback = IsLoopback
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}
