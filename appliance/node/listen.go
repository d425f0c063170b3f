package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/api"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/config"
	"skerry/appliance/httpd"
	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/systemd"
)

// httpSockets is the name of the sockets in skerry.socket.
const httpSockets = "skerry"

// openListeners opens every listener, or takes over those that systemd has opened.
func (n *Node) openListeners(given systemd.Sockets) error {
	keys, err := httpd.OpenKeys(n.state, time.Now, n.log)
	if err != nil {
		return err
	}
	c := n.conf
	socket := c.Socket
	if socket == "" {
		socket = defaultSocket(n.state)
	}
	n.logIgnoredListen(given)
	n.logUnscopedKeys(keys)
	n.listeners, err = httpd.Listen(httpd.Options{
		Listen: c.Listen, OllamaListen: c.OllamaListen, Socket: socket, Inherited: given.Streams[httpSockets],
		CertFile: c.TLS.Cert, KeyFile: c.TLS.Key, Keys: keys, Policy: policy(c),
		Header: int(c.Limits.Header), Connections: c.Limits.Connections, ClientConnections: c.Limits.ClientConnections,
		HeaderTimeout: time.Duration(c.Limits.HeaderTimeout), WriteStall: time.Duration(c.Limits.WriteStall),
		IdleTimeout: time.Duration(c.Limits.IdleTimeout), Endless: endless, Uploads: uploads, Streams: status.MaxReaders * 3 / 4, Scope: scopeOf(), Log: n.log,
	})
	return err
}

// logIgnoredListen warns of a setting that counts for nothing: where systemd has opened the
// addresses, its unit says which.
func (n *Node) logIgnoredListen(given systemd.Sockets) {
	var has []string
	for _, l := range given.Streams[httpSockets] {
		if l.Addr().Network() == "tcp" {
			has = append(has, l.Addr().String())
		}
	}
	if len(has) > 0 && !slices.Equal(n.conf.Listen, has) && !slices.Equal(n.conf.Listen, config.Default().Listen) {
		n.log.Warn("listen is ignored: systemd has opened the addresses (systemctl edit skerry.socket)", "listen", n.conf.Listen, "opened", has)
	}
}

// logUnscopedKeys says what keys are for that were made before there were scopes.
func (n *Node) logUnscopedKeys(keys *httpd.Keys) {
	all, err := keys.List()
	if err != nil {
		return // opening the listeners says so
	}
	var names []string
	for _, k := range all {
		if k.Scopes == nil {
			names = append(names, k.Name)
		}
	}
	if len(names) > 0 {
		n.log.Warn("keys of before there were scopes may ask, in their own sessions: skerry key scope NAME ask,read (the whole status, metrics) or admin (everything) gives them more", "keys", names)
	}
}

// policy is what of the access can change while the daemon runs.
func policy(c config.Config) httpd.Policy {
	return httpd.Policy{
		Origins: c.Access.Origins, Hosts: c.Access.Hosts, Body: int64(c.Limits.Body), BodyTimeout: time.Duration(c.Limits.BodyTimeout),
		Rate: c.Limits.Rate, Burst: c.Limits.Burst,
	}
}

// endless are the streams that end only with their reader.
func endless(r *http.Request) bool { return r.URL.Path == "/api/v1/events" }

// uploads are the requests that bring a model's file.
func uploads(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/api/blobs/")
}

// defaultSocket is the system's where its directory can be written to.
func defaultSocket(state string) string {
	const run = "/run/skerry"
	if f, err := os.CreateTemp(run, ".probe"); err == nil {
		f.Close()
		os.Remove(f.Name())
		return filepath.Join(run, "skerry.sock")
	}
	return filepath.Join(state, "skerry.sock")
}

// serve answers on every listener until the listeners are closed.
func (n *Node) serve(ctx context.Context) {
	h := n.metrics.Count(n.handler())
	n.wg.Go(func() {
		if err := n.listeners.Serve(ctx, h); err != nil {
			n.failed <- err
		}
	})
}

// handler is everything that is served.
func (n *Node) handler() http.Handler {
	mux := http.NewServeMux()
	library := &models{n.loader, n.core, unloadTime}
	handle := func(h http.Handler, patterns ...string) {
		for _, p := range patterns {
			mux.Handle(p, h)
		}
	}
	handle(api.New(n.core, api.Options{
		Version: n.version, MaxBody: int64(n.conf.Limits.Body), Stall: time.Duration(n.conf.Limits.WriteStall), Log: n.log,
		Client: clientOf, By: byOf, Library: library, Manages: func(r *http.Request) bool { return httpd.CallerOf(r).Allows(httpd.ScopeAdmin) },
	}), api.Patterns...)
	shown := page.New(page.Source{Status: n.status, Hub: n.hub, Logs: n.logs, Ask: n.core, Client: clientOf, Viewer: viewerOf, Sessions: n.core.List,
		Conversations: n.conversations(), Models: library, DefaultModel: fetch.DefaultName})
	handle(ollamaRoot(n.conf.OllamaListen, shown), "/")
	handle(shown, "/api/v1/status", "/api/v1/events", "/api/v1/logs")
	handle(admin.New(control{n}), "/api/v1/")
	handle(n.metrics.Handler(), "/metrics", "/metrics/", "/healthz", "/readyz")
	return mux
}

// ollamaRoot answers / as Ollama does where its clients look, by which some of them find out
// whether it is there; everywhere else, and of other paths, the page is shown.
func ollamaRoot(addresses []string, shown http.Handler) http.Handler {
	ports := map[string]bool{}
	for _, a := range addresses {
		if _, port, err := net.SplitHostPort(a); err == nil {
			ports[port] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
				if _, port, err := net.SplitHostPort(local.String()); err == nil && ports[port] {
					w.Header().Set("Content-Type", "text/plain; charset=utf-8")
					io.WriteString(w, "Ollama is running")
					return
				}
			}
		}
		shown.ServeHTTP(w, r)
	})
}

// Addresses of the page, as host:port.
func (n *Node) Addresses() (addrs []string) {
	for _, a := range n.listeners.Addrs() {
		if strings.HasPrefix(a.Network(), "tcp") {
			addrs = append(addrs, a.String())
		}
	}
	return addrs
}
