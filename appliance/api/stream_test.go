package api

import (
	"bufio"
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/httpd/httpdtest"
	"skerry/appliance/infer"
)

// saying is an answer that says a text and ends with err.
func saying(text string, err error) func(context.Context, int) iter.Seq[infer.Event] {
	return func(context.Context, int) iter.Seq[infer.Event] {
		return func(yield func(infer.Event) bool) {
			if text == "" || yield(infer.Event{Kind: infer.Text, Index: 1, Text: text}) {
				yield(infer.Event{Kind: infer.End, Index: 1, Finish: infer.Failed, Err: err})
			}
		}
	}
}

// scripted is an answer of these events.
func scripted(events []infer.Event) func(context.Context, int) iter.Seq[infer.Event] {
	return func(context.Context, int) iter.Seq[infer.Event] { return slices.Values(events) }
}

func TestFails(t *testing.T) {
	broken := &infer.Error{Code: infer.Internal, Message: "the weights are gone"}
	for name, body := range map[string]string{"whole": chatBody + "}", "stream": chatBody + `, "stream": true}`} {
		r := newClient(t, &fake{script: saying("", broken)}).post("/v1/chat/completions", body)
		if r.status != 500 || r.json("error", "message") != "the weights are gone" {
			t.Errorf("%s, before the first word: %d %s", name, r.status, r.body)
		}
	}
	r := newClient(t, &fake{script: saying("half", broken)}).post("/v1/chat/completions", chatBody+`, "stream": true}`).ok()
	if want := `data: {"error":{"code":"internal","message":"the weights are gone","param":null,"type":"server_error"}}` + "\n\ndata: [DONE]\n\n"; !strings.HasSuffix(r.body, want) {
		t.Errorf("after it: %s", r.body)
	}
	cut := func(ctx context.Context, _ int) iter.Seq[infer.Event] { return func(func(infer.Event) bool) {} }
	if r := newClient(t, &fake{script: cut}).post("/v1/chat/completions", chatBody+"}"); r.status != 503 || r.header.Get("Retry-After") != "1" {
		t.Errorf("an answer without an end: %d %s", r.status, r.body)
	}
}

func TestResume(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := chatBody + `, "stream": true, "skerry": {"session": "s1"}}`
	all, _ := c.post("/v1/chat/completions", body).ok().events("ChatChunk")
	cut := all[3]
	rest, _ := c.post("/v1/chat/completions", chatBody+`, "stream": true}`, "X-Skerry-Session", "s1", "Last-Event-ID", cut.id).ok().events("ChatChunk")
	if len(f.asked) != 1 || len(rest) != len(all)-4 {
		t.Fatalf("asked %d times, %d events after the fourth of %d", len(f.asked), len(rest), len(all))
	}
	for i := range rest {
		if rest[i] != all[4+i] {
			t.Errorf("event %d is %v, was %v", 4+i, rest[i], all[4+i])
		}
	}
	back, _ := c.post("/v1/chat/completions", body, "Last-Event-ID", "a1.40").ok().events("ChatChunk")
	if back[0] != (sse{"skerry.rewind", "a1.3", `{"answer":"a1","index":3}`}) || back[1] != all[4] {
		t.Errorf("from beyond the end: %v, %v", back[0], back[1])
	}
}

func TestSessionAnswer(t *testing.T) {
	c := newClient(t, &fake{})
	c.post("/v1/chat/completions", chatBody+"}", "X-Skerry-Session", "s1").ok()
	events, _ := c.get("/api/v1/sessions/s1/answer").ok().events("")
	last := events[len(events)-1]
	if events[0].kind != "queued" || last.kind != "end" || last.id != "a1.6" || dig(t, []byte(last.data), "skerry", "session") != "s1" {
		t.Errorf("events are %v", events)
	}
	rest, _ := c.get("/api/v1/sessions/s1/answer?answer=a1", "Last-Event-ID", "a1.4").ok().events("")
	if len(rest) != 3 || rest[0].id != "a1.5" {
		t.Errorf("after the fourth: %v", rest)
	}
	if r := c.get("/api/v1/sessions/other/answer"); r.status != 404 {
		t.Errorf("an unknown session: %d %s", r.status, r.body)
	}
}

// quiet says nothing until it is dropped.
func quiet(ctx context.Context, _ int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		if yield(infer.Event{Kind: infer.Queued, Queue: 3}) {
			<-ctx.Done()
		}
	}
}

func TestWaitingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		body := strings.NewReader(`{"messages": [{"role": "user", "content": "x"}], "stream": true}`)
		w := httptest.NewRecorder()
		New(&fake{script: quiet}, Options{}).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/v1/chat/completions", body))
		if got, want := w.Body.String(), ": queued 3\n\n: waiting\n\n: waiting\n\n"; !strings.HasPrefix(got, want) {
			t.Errorf("40 s of waiting are %q", got)
		}
	})
}

// ended waits until the fake has no answer under way.
func ended(t *testing.T, f *fake) {
	t.Helper()
	for {
		f.mu.Lock()
		n := f.running
		f.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the answer goes on")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestClientLeaves(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages": [{"role": "user", "content": "x"}], "stream": true}`,
		"/v1/completions":      `{"prompt": "x"}`,
		"/api/generate":        `{"model": "fake-135m", "prompt": "x"}`,
	} {
		begun := make(chan struct{})
		f := &fake{script: func(ctx context.Context, from int) iter.Seq[infer.Event] {
			close(begun)
			return quiet(ctx, from)
		}}
		server := httptest.NewServer(New(f, Options{}))
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if res, err := http.DefaultClient.Do(r); err == nil {
				bufio.NewReader(res.Body).ReadString('x')
				res.Body.Close()
			}
		}()
		<-begun
		cancel()
		<-gone
		ended(t, f)
		server.Close()
	}
}

// A reader that takes nothing is dropped, and its answer with it.
func TestStalledReader(t *testing.T) {
	endless := func(ctx context.Context, _ int) iter.Seq[infer.Event] {
		return func(yield func(infer.Event) bool) {
			long := strings.Repeat("x", 1<<16)
			for i := 1; yield(infer.Event{Kind: infer.Text, Index: i, Text: long}); i++ {
			}
		}
	}
	f := &fake{script: endless}
	server := httptest.NewServer(New(f, Options{Stall: 50 * time.Millisecond}))
	defer server.Close()
	res, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"messages": [{"role": "user", "content": "x"}], "stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	ended(t, f)
}

// A stream that is quiet for longer than a write may take is no stalled one.
func TestQuietStreamIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context, int) iter.Seq[infer.Event] {
			return func(yield func(infer.Event) bool) {
				yield(infer.Event{Kind: infer.Text, Index: 1, Text: "one"})
				time.Sleep(time.Minute)
				yield(infer.Event{Kind: infer.End, Index: 1, Finish: infer.Stop})
			}
		}
		var http2 http.Protocols // which resets a stream at its deadline, write or none
		http2.SetUnencryptedHTTP2(true)
		network := httpdtest.NewPipes()
		server := &http.Server{Handler: New(&fake{script: slow}, Options{Stall: 10 * time.Second}), Protocols: &http2}
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(network) })
		transport := &http.Transport{Protocols: &http2, DialContext: network.Dial}
		defer func() {
			transport.CloseIdleConnections()
			server.Close()
			serving.Wait()
		}()
		res, err := (&http.Client{Transport: transport}).Post("http://skerry/v1/chat/completions", "application/json", strings.NewReader(chatBody+`, "stream": true}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, err := io.ReadAll(res.Body); err != nil || res.ProtoMajor != 2 || !strings.HasSuffix(string(text), "[DONE]\n\n") {
			t.Errorf("HTTP/%d: %v after %s", res.ProtoMajor, err, text)
		}
	})
}
