package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Names of sessions are people's own, whatever is in them.
const odd = "a/b c?&#%2Fü"

func TestRoundTrip(t *testing.T) {
	f := &fake{ids: []string{"trip", odd, "busy"}}
	c := serve(t, New(f))
	ctx := t.Context()
	list, err := c.Sessions(ctx)
	if err != nil || len(list) != 3 || list[1].ID != odd {
		t.Errorf("sessions %v, %v", list, err)
	}
	for _, id := range f.ids {
		if s, err := c.Session(ctx, id); err != nil || s.ID != id || len(s.Messages) != 3 {
			t.Errorf("session %q: %+v, %v", id, s, err)
		}
	}
	if _, err := c.Session(ctx, "nobody"); !errors.Is(err, ErrNotFound) || err.Error() != "session nobody: not found" {
		t.Errorf("a session that there is not: %v", err)
	}
	if err := c.Delete(ctx, "busy"); !errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
		t.Errorf("a session in use: %v", err)
	}
	if err := c.Delete(ctx, odd); err != nil || slices.Contains(f.ids, odd) {
		t.Errorf("delete: %v, left %q", err, f.ids)
	}
	if r, err := c.Reload(ctx); err != nil || !slices.Equal(r.Changed, []string{"log.level"}) || !slices.Equal(r.Restart, []string{"listen"}) {
		t.Errorf("reload %+v, %v", r, err)
	}
	if text, err := c.Config(ctx); err != nil || text != "mode = \"auto\"\n" {
		t.Errorf("config %q, %v", text, err)
	}
	if err := c.RetryLink(ctx); err == nil || err.Error() != "no cloud is configured" {
		t.Errorf("retry: %v", err)
	}
	if err := c.Power(ctx, PowerOff); !errors.Is(err, ErrRefused) {
		t.Errorf("power off: %v", err)
	}
	if err := c.Cancel(ctx, odd); err != nil || !slices.Equal(f.had(), []string{"cancel " + odd}) {
		t.Errorf("cancel: %v, orders %v", err, f.had())
	}
	f.orders = nil
	if err := c.Power(ctx, Restart); err != nil || !slices.Equal(f.had(), []string{"restart"}) {
		t.Errorf("restart: %v, orders %v", err, f.had())
	}
	if err := c.Power(ctx, "dance"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an order that there is not: %v", err)
	}
}

// The list comes in pages, whatever the names of the sessions at their ends are.
func TestSessionPages(t *testing.T) {
	f := &fake{}
	for i := range 2*pageSize + 7 {
		f.ids = append(f.ids, fmt.Sprint(odd, i))
	}
	c := serve(t, New(f))
	list, err := c.Sessions(t.Context())
	if err != nil || len(list) != len(f.ids) || list[len(list)-1].ID != f.ids[len(f.ids)-1] {
		t.Errorf("%d sessions of %d, %v", len(list), len(f.ids), err)
	}
	get := func(query string) (status int, header http.Header, ids int) {
		r, err := c.HTTP().Get("http://skerry/api/v1/sessions" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var page []struct{ ID string }
		json.NewDecoder(r.Body).Decode(&page)
		return r.StatusCode, r.Header, len(page)
	}
	if code, h, n := get(""); code != 200 || n != len(f.ids) || h.Get("Link") != "" || h.Get("X-Total-Count") != fmt.Sprint(n) {
		t.Errorf("without a limit: %d, %d sessions, %v", code, n, h)
	}
	if code, h, n := get("?limit=3"); code != 200 || n != 3 || nextPage(h) == "" || h.Get("X-Total-Count") != fmt.Sprint(len(f.ids)) {
		t.Errorf("three of them: %d, %d sessions, %v", code, n, h)
	}
	for _, query := range []string{"?limit=0", "?limit=-1", "?limit=x", "?limit=1001", "?limit=3&after=nobody"} {
		if code, _, _ := get(query); code != 400 {
			t.Errorf("%s: %d", query, code)
		}
	}
}

func TestExport(t *testing.T) {
	c := serve(t, New(&fake{ids: []string{"trip"}}))
	var b bytes.Buffer
	if err := c.Export(t.Context(), "trip", JSONLines, &b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], `{"session":{"id":"trip"`) || lines[1] != `{"role":"user","content":"why?\n"}` {
		t.Errorf("%s", b.String())
	}
	b.Reset()
	if err := c.Export(t.Context(), "trip", Markdown, &b); err != nil {
		t.Fatal(err)
	}
	const want = `# trip

tiny, 7 tokens, 2026-03-01 12:00:00 to 2026-03-01 12:00:00

## user

why?

## tool clock

12:00

## assistant

    f({})

(the answer is not finished)
`
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
	if err := c.Export(t.Context(), "trip", "pdf", &b); err == nil || err.Error() != `no format "pdf": choose jsonl or markdown` {
		t.Errorf("%v", err)
	}
	if err := c.Export(t.Context(), "nobody", "", &b); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// Over TCP an order to end something wants to be repeated in a header; what reads
// wants nothing.
func TestConfirmation(t *testing.T) {
	f := &fake{ids: []string{"trip"}}
	h := New(f)
	for _, c := range []struct {
		method, path, confirm string
		want                  int
	}{
		{"POST", "/api/v1/restart", "", http.StatusForbidden},
		{"POST", "/api/v1/restart", "reboot", http.StatusForbidden},
		{"POST", "/api/v1/restart", "restart", http.StatusOK},
		{"POST", "/api/v1/poweroff", "poweroff", http.StatusForbidden}, // not allowed
		{"GET", "/api/v1/restart", "restart", http.StatusNotFound},
		{"GET", "/api/v1/sessions", "", http.StatusOK},
		{"GET", "/api/v1/nothing", "", http.StatusNotFound},
		{"PUT", "/api/v1/sessions/trip", "", http.StatusNotFound},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("X-Skerry-Confirm", c.confirm)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || w.Code != http.StatusOK && !strings.HasPrefix(w.Body.String(), `{"error":{"code":"`) {
			t.Errorf("%s %s, confirmed by %q: %d %s", c.method, c.path, c.confirm, w.Code, w.Body)
		}
	}
	if !slices.Equal(f.had(), []string{"restart"}) {
		t.Errorf("orders %v", f.had())
	}
}

// A reply that is none of ours is still an error in one line.
func TestForeignReplies(t *testing.T) {
	for body, want := range map[string]string{
		"":                                     "the daemon says 502 Bad Gateway",
		"<html>\n<b>bad</b>":                   "<html> <b>bad</b>",
		`{"error":{"message":"go away"}}`:      "go away",
		`{"error":"x"}`:                        `{"error":"x"}`,
		strings.Repeat("long ", 1<<17) + "end": "",
	} {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			w.Write([]byte(body))
		}))
		_, err := c.Status(t.Context())
		if r := (*Error)(nil); !errors.As(err, &r) || r.Status != http.StatusBadGateway || want != "" && err.Error() != want {
			t.Errorf("%.40q: %v", body, err)
		}
	}
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("{oops")) }))
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "skerry version") {
		t.Errorf("junk: %v", err)
	}
}
