package page_test

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/appliance/status/statustest"
)

// rig is a page over a status that the test sets.
type rig struct {
	*httptest.Server
	hub     *status.Hub
	logs    *status.Logs
	backend *backend

	mu     sync.Mutex // guards all following fields
	status status.Status
}

func newRig(t testing.TB, s status.Status) *rig {
	t.Helper()
	r := &rig{hub: status.NewHub(), logs: status.NewLogs(100, nil), backend: &backend{}, status: s}
	r.logs.FanOut(r.hub)
	r.Server = httptest.NewServer(page.New(page.Source{Status: r.now, Hub: r.hub, Logs: r.logs, Ask: r.backend}))
	t.Cleanup(func() {
		r.hub.Close()
		r.Server.Close()
	})
	return r
}

func (r *rig) now() status.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *rig) set(s status.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = s
}

// speak says the sample tokens, some rounds of them.
func (r *rig) speak(rounds int) {
	said := statustest.Tokens()
	for i := range rounds {
		for _, t := range said {
			t.Session = []string{"workshop", "notes-2026", "kitchen-radio"}[i%3]
			r.hub.Token(t)
		}
	}
}

// write logs some lines as the daemon would.
func (r *rig) write() {
	at := statustest.Now.Add(-90 * time.Minute)
	log := func(level slog.Level, msg string, args ...any) {
		at = at.Add(13*time.Minute + 7*time.Second)
		record := slog.NewRecord(at, level, msg, 0)
		record.Add(args...)
		r.logs.Handle(context.Background(), record)
	}
	log(slog.LevelInfo, "model loaded", "bundle", "9f2c4e0d71ab", "blocks", 30, "kernels", "armv8.2 dotprod fp16", "took", "3.2s")
	log(slog.LevelInfo, "link up", "cloud", "cloud.example.net:7537", "transport", "quic", "zero_rtt", true)
	log(slog.LevelWarn, "link down", "reason", "no answer to 3 probes", "mode", "standalone")
	log(slog.LevelInfo, "link up", "cloud", "cloud.example.net:7537", "transport", "quic", "zero_rtt", true)
	log(slog.LevelInfo, "session resumed", "session", "kitchen-radio", "position", 1117)
	log(slog.LevelError, "database set aside", "path", "/var/lib/skerry/skerry.db.corrupt-1", "error", "page 7: invalid freelist")
}

func (r *rig) get(t testing.TB, path, accept string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", r.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// backend answers every question with the sample tokens.
type backend struct {
	mu    sync.Mutex // guards all following fields
	asked []infer.Request
	err   error
	pause chan struct{} // where set, waited for before each token
}

func (b *backend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *backend) last() (r infer.Request, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) > 0 {
		r = b.asked[len(b.asked)-1]
	}
	return r, len(b.asked)
}

func (b *backend) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r)
	if b.err != nil {
		return nil, b.err
	}
	return saying{pause: b.pause}, nil
}

func (b *backend) Follow(context.Context, infer.Following) (infer.Answer, error) {
	return nil, infer.Errorf(infer.NoSession, "session", "no session")
}
func (b *backend) Models() []infer.Model                                    { return nil }
func (b *backend) Pull(context.Context, string, func(infer.Progress)) error { return nil }
func (b *backend) Load(context.Context, string, time.Duration) error        { return nil }
func (b *backend) Wake(context.Context, string) error                       { return nil }
func (b *backend) Count(context.Context, infer.Request) (int, error)        { return 0, nil }

type saying struct{ pause chan struct{} }

func (saying) ID() string         { return "a1" }
func (saying) Session() string    { return "" }
func (saying) Model() string      { return "m" }
func (saying) Created() time.Time { return statustest.Now }
func (saying) Begun() (int, int)  { return 0, 0 }

func (s saying) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		if !yield(infer.Event{Kind: infer.Queued, Queue: 1}) || !yield(infer.Event{Kind: infer.Prefill, Done: 8, Total: 12}) {
			return
		}
		by := map[infer.Source]int{}
		said := statustest.Tokens()
		for i, t := range said {
			if s.pause != nil {
				select {
				case <-s.pause:
				case <-ctx.Done():
					return
				}
			}
			by[infer.Source(t.Source)]++
			if !yield(infer.Event{Kind: infer.Text, Index: i + 1, Text: t.Text, Tokens: []infer.Token{{Text: t.Text, Source: infer.Source(t.Source)}}}) {
				return
			}
		}
		yield(infer.Event{Kind: infer.End, Index: len(said), Finish: infer.Stop, Usage: infer.Usage{Prompt: 12, Completion: len(said), Total: 3 * time.Second}, Provenance: &infer.Provenance{Mode: "verified", Sources: by}})
	}
}

// sampleText is what the backend answers.
func sampleText() string {
	var b strings.Builder
	for _, t := range statustest.Tokens() {
		b.WriteString(t.Text)
	}
	return b.String()
}
