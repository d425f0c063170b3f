package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/access"
	"skerry/appliance/api"
	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/appliance/status/page"
	"skerry/systemd"
)

// httpSockets is the name of the sockets in skerry.socket.
const httpSockets = "skerry"

// openDoors opens every listener, or takes over those that systemd has opened.
func (d *daemon) openDoors(given systemd.Sockets) error {
	keys, err := access.OpenKeys(d.state, time.Now, d.log)
	if err != nil {
		return err
	}
	c := d.conf
	socket := c.Socket
	if socket == "" {
		socket = defaultSocket(d.state)
	}
	d.tellUnheard(given)
	d.doors, err = access.Listen(access.Options{
		Listen: c.Listen, OllamaListen: c.OllamaListen, Socket: socket, Inherited: given.Streams[httpSockets],
		CertFile: c.TLS.Cert, KeyFile: c.TLS.Key, Keys: keys, Policy: policy(c),
		Header: int(c.Limits.Header), Connections: c.Limits.Connections, ClientConnections: c.Limits.ClientConnections,
		HeaderTimeout: time.Duration(c.Limits.HeaderTimeout), WriteStall: time.Duration(c.Limits.WriteStall),
		IdleTimeout: time.Duration(c.Limits.IdleTimeout), Endless: endless, Log: d.log,
	})
	return err
}

// tellUnheard warns of a setting that counts for nothing: where systemd has opened the
// addresses, its unit says which.
func (d *daemon) tellUnheard(given systemd.Sockets) {
	var has []string
	for _, l := range given.Streams[httpSockets] {
		if l.Addr().Network() == "tcp" {
			has = append(has, l.Addr().String())
		}
	}
	if len(has) > 0 && !slices.Equal(d.conf.Listen, has) && !slices.Equal(d.conf.Listen, config.Default().Listen) {
		d.log.Warn("listen counts for nothing: systemd has opened the addresses (systemctl edit skerry.socket)", "listen", d.conf.Listen, "opened", has)
	}
}

// policy is what of the access can change while the daemon runs.
func policy(c config.Config) access.Policy {
	return access.Policy{
		Origins: c.Access.Origins, Hosts: c.Access.Hosts, Body: int64(c.Limits.Body), BodyTimeout: time.Duration(c.Limits.BodyTimeout),
		Rate: c.Limits.Rate, Burst: c.Limits.Burst,
	}
}

// endless are the streams that end only with their reader.
func endless(r *http.Request) bool { return r.URL.Path == "/api/v1/events" }

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

// serve answers on every listener until the doors are shut.
func (d *daemon) serve(ctx context.Context) {
	h := d.metrics.Count(d.handler())
	d.wg.Go(func() {
		if err := d.doors.Serve(ctx, h); err != nil {
			d.failed <- err
		}
	})
}

// handler is everything that is served.
func (d *daemon) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(h http.Handler, patterns ...string) {
		for _, p := range patterns {
			mux.Handle(p, h)
		}
	}
	handle(api.New(d.core, api.Options{
		Version: version, MaxBody: int64(d.conf.Limits.Body), Stall: time.Duration(d.conf.Limits.WriteStall), Log: d.log,
		Client: func(r *http.Request) string { return access.CallerOf(r).Name() },
	}), api.Patterns...)
	handle(page.New(page.Source{Status: d.status, Hub: d.hub, Logs: d.logs, Ask: d.core}),
		"/", "/api/v1/status", "/api/v1/events", "/api/v1/logs")
	handle(control.New(daemonControl{d}), "/api/v1/")
	handle(d.metrics.Handler(), "/metrics", "/metrics/", "/healthz", "/readyz")
	return mux
}

// addresses of the page, as host:port.
func (d *daemon) addresses() (addrs []string) {
	for _, a := range d.doors.Addrs() {
		if strings.HasPrefix(a.Network(), "tcp") {
			addrs = append(addrs, a.String())
		}
	}
	return addrs
}
