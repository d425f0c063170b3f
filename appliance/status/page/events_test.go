package page_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/appliance/status/statustest"
)

// listener is a client of the stream, without a network: time in its tests is
// synctest's.
type listener struct {
	header http.Header
	mu     sync.Mutex // guards all following fields
	code   int
	body   bytes.Buffer
	stuck  chan struct{} // where set, writes wait for it
}

func (l *listener) Header() http.Header { return l.header }
func (l *listener) WriteHeader(code int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.code = code
}
func (l *listener) Flush() {}
func (l *listener) Write(p []byte) (int, error) {
	if l.stuck != nil {
		<-l.stuck
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.body.Write(p)
}

// events that have come, and all of the text.
func (l *listener) events() (events []event, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = l.body.String()
	for part := range strings.SplitSeq(text, "\n\n") {
		var e event
		for line := range strings.Lines(part) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch key {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			}
		}
		if e.kind != "" {
			events = append(events, e)
		}
	}
	return events, text
}

type event struct{ id, kind, data string }

// stage is a page without a network.
type stage struct {
	handler http.Handler
	hub     *status.Hub
	work    sync.WaitGroup

	mu     sync.Mutex // guards all following fields
	status status.Status
	calls  int
}

func newStage() *stage {
	s := &stage{hub: status.NewHub(), status: statustest.Busy()}
	s.handler = page.New(page.Source{Hub: s.hub, Status: func() status.Status {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		return s.status
	}})
	return s
}

func (s *stage) change(how func(*status.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how(&s.status)
}

func (s *stage) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *stage) listen(ctx context.Context, path string, header ...string) *listener {
	return s.listenTo(ctx, &listener{header: http.Header{}}, path, header...)
}

func (s *stage) listenTo(ctx context.Context, l *listener, path string, header ...string) *listener {
	r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	s.work.Go(func() { s.handler.ServeHTTP(l, r) })
	synctest.Wait()
	return l
}

func count(events []event, kind string) (n int) {
	for _, e := range events {
		if e.kind == kind {
			n++
		}
	}
	return n
}

func TestEventsBeginWithTheStatusAndGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		l := s.listen(t.Context(), "/api/v1/events")
		events, text := l.events()
		if !strings.HasPrefix(text, "retry: 2000\n\n") || len(events) != 1 || events[0].kind != "status" || l.header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Fatalf("it begins with %.200q", text)
		}
		var st status.Status
		if err := json.Unmarshal([]byte(events[0].data), &st); err != nil || st.Name != "skerry-lab" {
			t.Errorf("%v: %s", err, events[0].data)
		}
		time.Sleep(10500 * time.Millisecond)
		events, _ = l.events()
		if n := count(events, "status"); n != 11 {
			t.Errorf("%d statuses in 10.5 s", n)
		}
		if n := count(events, "health"); n != 1 {
			t.Errorf("health was told %d times, unchanged", n)
		}
		s.change(func(st *status.Status) { st.Health = nil })
		time.Sleep(2 * time.Second)
		if events, _ = l.events(); count(events, "health") != 2 {
			t.Errorf("health was told %d times, changed once", count(events, "health"))
		}
		last := ""
		for _, e := range events {
			if len(e.id) < len(last) || len(e.id) == len(last) && e.id < last {
				t.Errorf("event %s after %s", e.id, last)
			}
			last = e.id
		}
		s.hub.Close() // which is how the daemon stops
		s.work.Wait()
	})
}

func TestNothingTicksWithThePageClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		s.listen(ctx, "/api/v1/events?kinds=page,tokens")
		time.Sleep(10500 * time.Millisecond)
		cancel()
		s.work.Wait()
		watched := s.called()
		time.Sleep(time.Hour)
		if after := s.called() - watched; after != 0 || watched == 0 || watched > 12 {
			t.Errorf("the status was made %d times while watched for 10 s, and %d after", watched, after)
		}
		s.hub.Close()
	})
}

func TestSilentStreamsHaveAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		l := s.listen(t.Context(), "/api/v1/events?kinds=log,nonsense")
		time.Sleep(61 * time.Second)
		if _, text := l.events(); text != "retry: 2000\n\n"+strings.Repeat(": \n\n", 4) {
			t.Errorf("%q", text)
		}
		s.hub.Close()
		s.work.Wait()
	})
}

// A page that lost its stream is told what it missed, once.
func TestTokensGoOnAfterTheLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		say := func(from, to int) {
			for i := from; i < to; i++ {
				s.hub.Token(status.Said{Session: "a", Index: i, Text: fmt.Sprint(i)})
			}
		}
		heard := func(l *listener) (said []int, id string) {
			events, _ := l.events()
			for _, e := range events {
				var batch []status.Said
				if e.kind != "tokens" {
					continue
				}
				if err := json.Unmarshal([]byte(e.data), &batch); err != nil {
					t.Fatal(err)
				}
				for _, b := range batch {
					said = append(said, b.Index)
				}
				id = e.id
			}
			return said, id
		}
		say(0, 5)
		ctx, cancel := context.WithCancel(t.Context())
		first := s.listen(ctx, "/api/v1/events?kinds=tokens")
		say(5, 9)
		time.Sleep(time.Second)
		said, id := heard(first)
		if fmt.Sprint(said) != "[5 6 7 8]" {
			t.Errorf("a fresh listener hears %v", said)
		}
		cancel()
		s.work.Wait()
		say(9, 12)
		back := s.listen(t.Context(), "/api/v1/events?kinds=tokens", "Last-Event-ID", id)
		asked := s.listen(t.Context(), "/api/v1/events?kinds=tokens&after="+id)
		odd := s.listen(t.Context(), "/api/v1/events?kinds=tokens", "Last-Event-ID", "x-99999999999999999999999")
		far := s.listen(t.Context(), "/api/v1/events?kinds=tokens", "Last-Event-ID", "18446744073709551615")
		say(12, 13)
		late := s.listen(t.Context(), "/api/v1/events?kinds=page,tokens&after="+id) // while a batch is gathered
		say(13, 14)
		time.Sleep(time.Second)
		for l, want := range map[*listener]string{back: "[9 10 11 12 13]", asked: "[9 10 11 12 13]", odd: "[12 13]", far: "[12 13]", late: "[9 10 11 12 13]"} {
			if said, _ := heard(l); fmt.Sprint(said) != want {
				t.Errorf("heard %v, not %s", said, want)
			}
		}
		s.hub.Close()
		s.work.Wait()
	})
}

// The page's own events have only what has changed.
func TestUnchangedPartsAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		l := s.listen(t.Context(), "/api/v1/events?kinds=page")
		time.Sleep(5 * time.Second)
		events, _ := l.events()
		if len(events) != 1 || !strings.Contains(events[0].data, `"model":`) {
			t.Fatalf("%d events of a status that does not change", len(events))
		}
		s.change(func(st *status.Status) { st.Board.Load = 0.77 })
		time.Sleep(5 * time.Second)
		if events, _ = l.events(); len(events) != 2 {
			t.Fatalf("%d events of a status that changed once", len(events))
		}
		var got struct{ Sections map[string]string }
		if err := json.Unmarshal([]byte(events[1].data), &got); err != nil || len(got.Sections) != 2 || !strings.Contains(got.Sections["board"], "0.77") || !strings.Contains(got.Sections["now"], "0.77") {
			t.Errorf("%v %s", err, events[1].data)
		}
		s.hub.Close()
		s.work.Wait()
	})
}

// A client that takes nothing holds nobody up, and not the daemon's end either
// once its connection is cut.
func TestAStuckClientDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		stuck := s.listenTo(t.Context(), &listener{header: http.Header{}, stuck: make(chan struct{})}, "/api/v1/events")
		brisk := s.listen(t.Context(), "/api/v1/events")
		for i := range 500 {
			s.hub.Token(status.Said{Index: i})
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		events, _ := brisk.events()
		if n := count(events, "tokens"); n != 500 {
			t.Errorf("%d of 500 batches", n)
		}
		close(stuck.stuck)
		s.hub.Close()
		s.work.Wait()
	})
}

func TestTooManyListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		for range status.MaxReaders {
			s.listen(t.Context(), "/api/v1/events?kinds=log")
		}
		l := s.listen(t.Context(), "/api/v1/events?kinds=log")
		if _, text := l.events(); l.code != http.StatusServiceUnavailable || l.header.Get("Retry-After") == "" || !strings.Contains(text, "close another page") {
			t.Errorf("%d %v %q", l.code, l.header, text)
		}
		s.hub.Close()
		s.work.Wait()
		l = s.listen(t.Context(), "/api/v1/events")
		if _, text := l.events(); l.code != http.StatusServiceUnavailable || !strings.Contains(text, "stopping") {
			t.Errorf("%d %q", l.code, text)
		}
	})
}

// BenchmarkWatched is what one second of an open page costs under load: the status,
// and what of the page has changed rendered.
func BenchmarkWatched(b *testing.B) {
	r := newRig(b, statustest.Busy())
	r.write()
	render := page.Renderer(r.now, r.logs)
	s := statustest.Busy()
	for b.Loop() {
		s.Time = s.Time.Add(time.Second)
		s.Board.Load += 0.01
		s.Link.BytesUp += 40_000
		s.Tokens.Rate += 0.1
		s.Tokens.Prompt++
		s.Tokens.Recent = maps.Clone(s.Tokens.Recent)
		s.Tokens.Recent["exit1"]++
		s.Sessions = slices.Clone(s.Sessions)
		s.Sessions[0].Tokens++
		r.set(s)
		render()
	}
}
