package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"skerry/appliance/admin"
	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/appliance/status/statustest"
)

// fakeDaemon answers the verbs over a real unix socket, as the daemon would.
type fakeDaemon struct {
	hub  *status.Hub
	logs *status.Logs
	http *http.Server
	sock string

	mu       sync.Mutex // guards all following
	status   status.Status
	sessions []admin.Session
	orders   []string
}

// Things that must be seen nowhere but where they are asked for.
const plantedPrompt = "my doctor says the rash is zq-planted-prompt"

// startFakeDaemon serves the status of that name at the socket until stop.
func startFakeDaemon(sock, name string) (*fakeDaemon, error) {
	s, ok := statustest.All()[name]
	if !ok {
		return nil, fmt.Errorf("no status %q", name)
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		return nil, err
	}
	s.Version, s.URLs = version, []string{"http://127.0.0.1:1/"} // which the doctor tries
	d := &fakeDaemon{hub: status.NewHub(), logs: status.NewLogs(100, nil), sock: sock, status: s}
	d.logs.FanOut(d.hub)
	log := slog.New(d.logs)
	log.Info("listening", "address", "127.0.0.1:7537")
	log.Warn("link lost", "cloud", "cloud.example.net:7537", "session", "kitchen-radio", "error", "no answer to 3 probes")
	for _, m := range s.Sessions {
		d.sessions = append(d.sessions, admin.Session{Session: m, Model: "SmolLM2-135M-Instruct", Bytes: 18_240, Unfinished: m.State == "decoding", Messages: []infer.Message{
			{Role: "system", Content: "You are brief."},
			{Role: "user", Content: plantedPrompt + "?\nWhat of it?"},
			{Role: "assistant", Content: "See a dermatologist.\n\nSoon.", ToolCalls: []infer.ToolCall{{ID: "1", Name: "book", Arguments: json.RawMessage(`{"when":"monday"}`)}}},
		}})
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", admin.New(d))
	web := page.New(page.Source{Status: d.now, Hub: d.hub, Logs: d.logs})
	for _, p := range []string{"/api/v1/status", "/api/v1/events", "/api/v1/logs"} {
		mux.Handle("GET "+p, web)
	}
	d.http = &http.Server{Handler: mux}
	go d.http.Serve(l)
	return d, nil
}

func (d *fakeDaemon) stop() {
	d.hub.Close()
	d.http.Close()
}

func (d *fakeDaemon) now() status.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// change has the status be another one, which whoever watches is told.
func (d *fakeDaemon) change(f func(*status.Status)) {
	d.mu.Lock()
	f(&d.status)
	d.mu.Unlock()
	d.hub.Publish(status.KindStatus, func() any { return d.now() })
}

func (d *fakeDaemon) Sessions(_ context.Context, after string, limit int) (l status.SessionList, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.Count = len(d.sessions)
	rest := d.sessions
	if after != "" {
		rest = rest[d.find(after)+1:]
	}
	if limit > 0 && len(rest) > limit {
		rest, l.Next = rest[:limit], rest[limit-1].ID
	}
	for _, s := range rest {
		l.Sessions = append(l.Sessions, s.Session)
	}
	return l, nil
}

func (d *fakeDaemon) find(id string) int {
	return slices.IndexFunc(d.sessions, func(s admin.Session) bool { return s.ID == id })
}

func (d *fakeDaemon) Session(_ context.Context, id string) (admin.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(id)
	if i < 0 {
		return admin.Session{}, fmt.Errorf("session %s: %w", id, admin.ErrNotFound)
	}
	return d.sessions[i], nil
}

func (d *fakeDaemon) Delete(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(id)
	if i < 0 {
		return fmt.Errorf("session %s: %w", id, admin.ErrNotFound)
	}
	if d.sessions[i].State == "decoding" {
		return fmt.Errorf("session %s is being answered: %w: stop its client, or wait", id, admin.ErrConflict)
	}
	d.sessions = slices.Delete(d.sessions, i, i+1)
	return nil
}

func (d *fakeDaemon) Cancel(_ context.Context, id string) error { return d.order("cancel " + id) }

func (d *fakeDaemon) order(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders = append(d.orders, what)
	return nil
}

func (d *fakeDaemon) Reload(context.Context) (admin.Reloaded, error) {
	return admin.Reloaded{Changed: []string{"mode"}, Restart: []string{"listen"}}, d.order("reload")
}

func (d *fakeDaemon) Config(context.Context) (string, error) { return "mode = \"auto\"\n", nil }

func (d *fakeDaemon) RetryLink(context.Context) error {
	if !d.now().Link.Wanted {
		return errors.New("no cloud is configured: skerry enroll CODE makes this board known to one")
	}
	return d.order("retry")
}

func (d *fakeDaemon) Power(_ context.Context, p admin.Power) error {
	if p == admin.PowerOff {
		return fmt.Errorf("%w to power off: allow it in polkit", admin.ErrRefused)
	}
	return d.order(string(p))
}

// fakeDaemons are those of scripts, by their directory.
var fakeDaemons = map[string]*fakeDaemon{}

// daemonCommand is the script command
//
//	daemon STATUS    start a fake daemon with that of statustest, in place of the
//	                 last; $SKERRY_SOCKET is its
//	daemon stop
//	daemon ordered WORDS...   those are the orders it has had
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon STATUS | stop | ordered WORDS...")
	}
	work := ts.Getenv("WORK")
	d := fakeDaemons[work]
	if args[0] == "ordered" {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !slices.Equal(d.orders, args[1:]) {
			ts.Fatalf("the daemon's orders are %v", d.orders)
		}
		return
	}
	if d != nil {
		d.stop()
		delete(fakeDaemons, work)
	}
	if args[0] == "stop" {
		return
	}
	sock := filepath.Join(work, "d.sock")
	d, err := startFakeDaemon(sock, args[0])
	ts.Check(err)
	fakeDaemons[work] = d
	ts.Setenv("SKERRY_SOCKET", sock)
	ts.Defer(func() {
		if d := fakeDaemons[work]; d != nil {
			d.stop()
			delete(fakeDaemons, work)
		}
	})
}

// fakeAt starts a fake daemon that the test's end stops.
func fakeAt(t testing.TB, name string) *fakeDaemon {
	t.Helper()
	d, err := startFakeDaemon(filepath.Join(t.TempDir(), "d.sock"), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}
