package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// fake is a daemon of two sessions.
type fake struct {
	mu     sync.Mutex // guards all following
	ids    []string
	orders []string
}

func (f *fake) Sessions(_ context.Context, after string, limit int) (l status.SessionList, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.Count = len(f.ids)
	rest := f.ids
	if after != "" {
		i := slices.Index(rest, after)
		if i < 0 {
			return l, fmt.Errorf("%w: after %q", ErrBadRequest, after)
		}
		rest = rest[i+1:]
	}
	if limit > 0 && len(rest) > limit {
		rest, l.Next = rest[:limit], rest[limit-1]
	}
	for _, id := range rest {
		l.Sessions = append(l.Sessions, status.Session{ID: id})
	}
	return l, nil
}

var long = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (f *fake) Session(_ context.Context, id string) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.ids, id) {
		return Session{}, fmt.Errorf("session %s: %w", id, ErrNotFound)
	}
	return Session{
		Session: status.Session{ID: id, Tokens: 7, Created: long, Updated: long}, Model: "tiny", Unfinished: true,
		Messages: []infer.Message{{Role: "user", Content: "why?\n"}, {Role: "tool", Name: "clock", Content: "12:00"}, {Role: "assistant", ToolCalls: []infer.ToolCall{{Name: "f", Arguments: json.RawMessage(`{}`)}}}},
	}, nil
}

func (f *fake) Delete(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == "busy" {
		return fmt.Errorf("session %s is being answered: %w", id, ErrConflict)
	}
	f.ids = slices.DeleteFunc(f.ids, func(s string) bool { return s == id })
	return nil
}

func (f *fake) Cancel(_ context.Context, id string) error { return f.order("cancel " + id) }

func (f *fake) order(s string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, s)
	return nil
}

func (f *fake) had() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.orders)
}

func (f *fake) Reload(context.Context) (Reloaded, error) {
	return Reloaded{Changed: []string{"log.level"}, Restart: []string{"listen"}}, nil
}
func (f *fake) Config(context.Context) (string, error) { return "mode = \"auto\"\n", nil }
func (f *fake) RetryLink(context.Context) error        { return errors.New("no cloud is configured") }
func (f *fake) Power(_ context.Context, p Power) error {
	if p == PowerOff {
		return fmt.Errorf("%w to power off", ErrRefused)
	}
	return f.order(string(p))
}

// serve has a handler at a unix socket, and returns a client of it.
func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	c := Dial(sock)
	t.Cleanup(c.Close)
	return c
}

// replay answers every request with these bytes.
type replay []byte

func (r replay) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(r))}, nil
}

func log(to slog.Handler, messages ...string) {
	for _, m := range messages {
		slog.New(to).Info(m)
	}
}
