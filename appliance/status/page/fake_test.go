package page_test

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
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
	pull    http.HandlerFunc
	viewer  page.Viewer

	mu     sync.Mutex // guards all following fields
	status status.Status
}

func newRig(t testing.TB, s status.Status) *rig {
	t.Helper()
	r := &rig{hub: status.NewHub(), logs: status.NewLogs(100, nil), backend: &backend{kept: map[string]*conversation{}}, status: s,
		viewer: page.Viewer{Reads: true, Asks: true, Manages: true}}
	r.logs.FanOut(r.hub)
	pages := page.New(page.Source{DefaultModel: "tiny", Status: r.now, Hub: r.hub, Logs: r.logs, Ask: r.backend,
		Conversations: &page.Conversations{Find: r.backend.Find, Cancel: r.backend.Cancel, Delete: r.backend.Forget, Image: r.backend.Image},
		Models:        r.backend, Sessions: r.sessions, Viewer: func(*http.Request) page.Viewer { return r.viewer }})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/api/pull" { // the API's, beside the page
			r.pull(w, q)
			return
		}
		pages.ServeHTTP(w, q)
	}))
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

// sessions are those of the prompt box.
func (r *rig) sessions(by infer.By, after string, limit int) (status.SessionList, error) {
	return r.backend.list(by, after, limit)
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

// backend answers every question with the sample tokens, or with those of say, and keeps
// the sessions in which it is asked.
type backend struct {
	mu    sync.Mutex // guards all following fields
	asked []infer.Request
	err   error
	say   []infer.Token
	pause chan struct{} // where set, waited for before each token
	kept  map[string]*conversation

	models []infer.Model
}

type conversation struct {
	page.Conversation
	stop    context.CancelFunc // of the answer under way
	stopped context.Context
}

func (b *backend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// says has the next answers be a text, in words said by one source after another.
func (b *backend) says(text string, by ...infer.Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.say = nil
	for i, word := range strings.SplitAfter(text, " ") {
		b.say = append(b.say, infer.Token{Text: word, Source: by[i%len(by)]})
	}
}

func (b *backend) last() (r infer.Request, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) > 0 {
		r = b.asked[len(b.asked)-1]
	}
	return r, len(b.asked)
}

// keep a conversation as if it had been before.
func (b *backend) keep(c page.Conversation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stopped, stop := context.WithCancel(context.Background())
	b.kept[c.ID] = &conversation{c, stop, stopped}
}

func (b *backend) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r)
	if b.err != nil {
		return nil, b.err
	}
	c := b.kept[r.Session]
	if c == nil {
		c = &conversation{Conversation: page.Conversation{ID: r.Session, Owner: r.By.Owner}}
		b.kept[r.Session] = c
	}
	if r.After != nil && *r.After >= 0 {
		c.Messages = c.Messages[:*r.After]
	}
	c.Messages = append(c.Messages, r.Messages...)
	c.Running = true
	c.stopped, c.stop = context.WithCancel(context.Background())
	return b.answer(c, b.pause), nil
}

// answer of a conversation. The caller holds mu.
func (b *backend) answer(c *conversation, pause chan struct{}) saying {
	tokens := b.say
	if tokens == nil {
		for _, t := range statustest.Tokens() {
			tokens = append(tokens, infer.Token{Text: t.Text, Source: infer.Source(t.Source)})
		}
	}
	return saying{session: c.ID, tokens: tokens, pause: pause, stopped: c.stopped, end: func(text string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if c.Running {
			c.Running = false
			c.Messages = append(c.Messages, infer.Message{Role: "assistant", Content: text})
		}
	}}
}

// Follow tells the last answer of a conversation, all at once.
func (b *backend) Follow(_ context.Context, f infer.Following) (infer.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.kept[f.Session]
	if c == nil {
		return nil, infer.Errorf(infer.NoSession, "session", "no session")
	}
	if n := len(c.Messages); n > 0 && c.Messages[n-1].Role == "assistant" {
		c.Messages = c.Messages[:n-1]
	}
	c.Running = true
	return b.answer(c, nil), nil
}

func (b *backend) Find(by infer.By, id string) (page.Conversation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.kept[id]
	switch {
	case c == nil:
		return page.Conversation{}, infer.Errorf(infer.NoSession, "session", "no session %q", id)
	case !by.May(c.Owner):
		return page.Conversation{}, infer.Errorf(infer.Forbidden, "session", "session %s is another key's", id)
	}
	found := c.Conversation
	found.Messages = slices.Clone(found.Messages)
	for i := range found.Messages { // as the daemon has them, with the data beside
		for k, img := range infer.ImageSums(found.Messages)[i].Images {
			found.Messages[i].Images[k].Sum = img.Sum
		}
	}
	return found, nil
}

func (b *backend) Cancel(by infer.By, id string) error {
	if _, err := b.Find(by, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept[id].stop()
	return nil
}

func (b *backend) Forget(by infer.By, id string) error {
	c, err := b.Find(by, id)
	if err != nil {
		return err
	}
	if c.Running {
		return infer.Errorf(infer.Conflict, "session", "session %s is being answered", id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.kept, id)
	return nil
}

// Image of a conversation that was asked with it.
func (b *backend) Image(by infer.By, id, sum string) ([]byte, error) {
	c, err := b.Find(by, id)
	if err != nil {
		return nil, err
	}
	for i, m := range infer.ImageSums(c.Messages) {
		for k, img := range m.Images {
			if img.Sum == sum {
				return c.Messages[i].Images[k].Data, nil
			}
		}
	}
	return nil, infer.Errorf(infer.NoSession, "session", "the image is not kept any more")
}

// Delete removes a model, but for one that is in use.
func (b *backend) Delete(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.models, func(m infer.Model) bool { return m.Name == name })
	switch {
	case i < 0:
		return infer.Errorf(infer.NoModel, "model", "model %q not found", name)
	case b.models[i].Pinned:
		return infer.Errorf(infer.Conflict, "model", "%s is in use", name)
	}
	b.models = slices.Delete(slices.Clone(b.models), i, i+1)
	return nil
}

func (b *backend) list(by infer.By, _ string, limit int) (status.SessionList, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var l status.SessionList
	for _, id := range slices.Sorted(maps.Keys(b.kept)) {
		if c := b.kept[id]; by.May(c.Owner) && len(c.Messages) > 0 && len(l.Sessions) < limit {
			l.Sessions = append(l.Sessions, status.Session{ID: id, Owner: c.Owner, State: "idle", Title: c.Messages[0].Content, Updated: statustest.Now})
		}
	}
	l.Count = len(l.Sessions)
	return l, nil
}

func (b *backend) Models() []infer.Model {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.models
}

func (b *backend) Resolve(name string) (infer.Model, error)                 { return infer.ByName(b.Models(), name) }
func (b *backend) Pull(context.Context, string, func(infer.Progress)) error { return nil }
func (b *backend) Load(context.Context, string, time.Duration) error        { return nil }
func (b *backend) Wake(context.Context, string) error                       { return nil }
func (b *backend) Count(context.Context, infer.Request) (int, error)        { return 0, nil }

type saying struct {
	session string
	tokens  []infer.Token
	pause   chan struct{}
	stopped context.Context
	end     func(text string)
}

func (saying) ID() string         { return "a1" }
func (s saying) Session() string  { return s.session }
func (saying) Model() string      { return "m" }
func (saying) Created() time.Time { return statustest.Now }
func (saying) Begun() (int, int)  { return 0, 0 }

func (s saying) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		if !yield(infer.Event{Kind: infer.Queued, Queue: 1}) || !yield(infer.Event{Kind: infer.Prefill, Done: 8, Total: 12}) {
			return
		}
		by := map[infer.Source]int{}
		var text strings.Builder
		finish, count := infer.Stop, 0
	say:
		for i, t := range s.tokens {
			if s.pause != nil {
				select {
				case <-s.pause:
				case <-s.stopped.Done():
					finish = infer.Cancelled
					break say
				case <-ctx.Done():
					return
				}
			}
			by[t.Source]++
			count++
			text.WriteString(t.Text)
			if !yield(infer.Event{Kind: infer.Text, Index: i + 1, Text: t.Text, Tokens: []infer.Token{t}}) {
				return
			}
		}
		s.end(text.String())
		yield(infer.Event{Kind: infer.End, Index: count, Finish: finish, Usage: infer.Usage{Prompt: 12, Completion: count, Total: 3 * time.Second}, Provenance: &infer.Provenance{Mode: "verified", Sources: by}})
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
