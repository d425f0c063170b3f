package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Every reader hears the whole answer, wherever it begins and however slow it is,
// and nobody waits for it.
func TestReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		ready(t, c)
		a := ask(t, c, raw("", 20))
		began := time.Now()
		slow := make(chan string)
		go func() {
			var text strings.Builder
			for e := range a.Events(t.Context(), 0) {
				text.WriteString(e.Text)
				time.Sleep(time.Hour)
			}
			slow <- text.String()
		}()
		h := listen(t, a, 0, 0)
		if d := time.Since(began); d != 20*w.pace {
			t.Errorf("20 tokens took %s beside a slow reader", d)
		}
		if len(h.text) != 20 || h.end.Finish != infer.Length || h.end.Usage.Completion != 20 || h.end.Usage.Prompt != 5 {
			t.Errorf("%q, %+v", h.text, h.end)
		}
		if got := <-slow; got != h.text {
			t.Errorf("the slow reader has %q, want %q", got, h.text)
		}
		again := ask(t, c, raw("", 20))
		for _, from := range []int{0, 7, 20} {
			if got := listen(t, again, from, 0); got.text != h.text[from:] || len(got.rewinds) > 0 {
				t.Errorf("from %d: %q %v", from, got.text, got.rewinds)
			}
		}
		if got := listen(t, again, 33, 0); !slices.Equal(got.rewinds, []int{20}) || got.end.Finish != infer.Length {
			t.Errorf("from beyond the end: %+v", got)
		}
		stop(t, c)
	})
}

// Before the first token a client hears of the queue and of the prompt.
func TestQueueAndPrefillAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil)
		ready(t, c)
		for range 2 {
			ask(t, c, raw("", 20))
		}
		a := ask(t, c, raw("", 2))
		if h := listen(t, a, 0, 0); !slices.Equal(h.kinds, []infer.Kind{infer.Queued, infer.Prefill, infer.Text, infer.End}) || h.end.Usage.Queued == 0 {
			t.Errorf("%v, queued %s", h.kinds, h.end.Usage.Queued)
		}
		stop(t, c)
	})
}

func TestFullQueueIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, j := newWorld(), newNotes()
		c := begin(w, j)
		ready(t, c)
		first := ask(t, c, raw("s", 3))
		listen(t, first, 0, 0)
		w.full = infer.Errorf(infer.Busy, "", "full")
		_, err := c.Ask(t.Context(), raw("s", 4))
		wantCode(t, err, infer.Busy, "full")
		if a, err := c.Follow(t.Context(), infer.Following{Session: "s"}); err != nil || a.ID() != first.ID() || j.sessions["s"].record.ID != first.ID() {
			t.Errorf("the session's answer after a refusal: %v", err)
		}
		w.full = nil
		if h := listen(t, ask(t, c, raw("s", 5)), 0, 0); len(h.text) != 5 {
			t.Errorf("%q after a refusal", h.text)
		}
		stop(t, c)
	})
}

// While the model loads, requests are told so; where none is to be had, why; and it
// is there once it appears.
func TestLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load, w.fail = time.Second, []error{errors.New("no bundle\nhere"), errors.New("no bundle here")}
		c := begin(w, nil)
		time.Sleep(w.load * 3 / 8)
		s := c.Snapshot()
		if s.State != status.Loading || s.Progress == nil || s.Progress.Share != 0.25 || s.Progress.ETAs != 0.75 {
			t.Errorf("%s %+v", s.State, s.Progress)
		}
		_, err := c.Ask(t.Context(), raw("", 3))
		wantCode(t, err, infer.Loading, "loading tiny")
		var e *infer.Error
		if errors.As(err, &e); e.RetryAfter <= 0 {
			t.Error("no Retry-After")
		}
		time.Sleep(w.load)
		_, err = c.Ask(t.Context(), raw("", 3))
		wantCode(t, err, infer.Unavailable, "no bundle here")
		if c.Snapshot().State != status.NoModel || c.Err() == nil {
			t.Errorf("%s, %v", c.Snapshot().State, c.Err())
		}
		ready(t, c)
		if w.loads != 3 || c.Err() != nil {
			t.Errorf("%d loads, %v", w.loads, c.Err())
		}
		stop(t, c)
	})
}

// What does not fit is refused, with what to do, and never cut in silence.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.context = 8192
		c := begin(w, nil)
		ready(t, c)
		long := raw("", 3)
		long.Prompt = strings.Repeat("x", 9312)
		wide := long
		wide.Context = 32768
		other := raw("", 3)
		other.Model = "gpt"
		mode := raw("", 3)
		mode.Mode = "cloud-only"
		for _, r := range []struct {
			infer.Request
			code  infer.Code
			words string
		}{
			{long, infer.TooLong, "prompt is 9312 tokens, context 8192: shorten it or raise num_ctx"},
			{wide, infer.TooLong, "prompt is 9312 tokens, context 8192"},
			{other, infer.NoModel, "tiny"},
			{mode, infer.BadRequest, "unsplit"},
			{infer.Request{}, infer.BadRequest, "empty"},
		} {
			_, err := c.Ask(t.Context(), r.Request)
			wantCode(t, err, r.code, r.words)
		}
		tagged := raw("", 3)
		tagged.Model, tagged.Context = "Tiny:latest", 7
		if h := listen(t, ask(t, c, tagged), 0, 0); len(h.text) != 2 || h.end.Finish != infer.Length {
			t.Errorf("%q within num_ctx 7, %s", h.text, h.end.Finish)
		}
		stop(t, c)
	})
}

// A num_ctx above the context asks for room that a short prompt does not need: it is
// answered within the context, and the reply says so, also after a restart.
func TestContextIsAWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.context = 8192
		w.script = "one two three\x00"
		var lines bytes.Buffer
		logs := func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&lines, nil)) }
		kept := newNotes()
		c := begin(w, kept, logs)
		ready(t, c)
		const note = "num_ctx is 9117, the context 8192: the answer was given within the context"
		var id string
		for range 2 {
			r := raw("s", 0)
			r.Context = 9117
			a := ask(t, c, r)
			if h := listen(t, a, 0, 0); h.text != "one two three" || !slices.Equal(h.end.Provenance.Notes, []string{note}) {
				t.Errorf("%q, notes %q", h.text, h.end.Provenance.Notes)
			}
			id = a.ID()
		}
		if n := strings.Count(lines.String(), "num_ctx is 9117"); n != 1 {
			t.Errorf("%d lines in the log:\n%s", n, lines.String())
		}
		if h := listen(t, ask(t, c, raw("", 3)), 0, 0); h.end.Provenance.Notes != nil {
			t.Errorf("notes without a wish: %q", h.end.Provenance.Notes)
		}
		stop(t, c)
		c = begin(w, kept, logs)
		ready(t, c)
		a, err := c.Follow(t.Context(), infer.Following{Session: "s", ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); !slices.Equal(h.end.Provenance.Notes, []string{note}) {
			t.Errorf("after a restart the notes are %q", h.end.Provenance.Notes)
		}
		stop(t, c)
	})
}

func TestStopsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script = "one two three\x00"
		c := begin(w, newNotes())
		ready(t, c)
		for _, v := range []struct {
			stop   []string
			text   string
			finish infer.Finish
		}{{nil, "one two three", infer.Stop}, {[]string{"four", " th"}, "one two", infer.Stop}, {[]string{"threes"}, "one two three", infer.Stop}} {
			r := raw("s", 0)
			r.Stop = v.stop
			if h := listen(t, ask(t, c, r), 0, 0); h.text != v.text || h.end.Finish != v.finish {
				t.Errorf("stop %q: %q %s", v.stop, h.text, h.end.Finish)
			}
		}
		stop(t, c)
	})
}

// A call that was cut off by the limit of tokens is not told to be one to make.
func TestCallCutByLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script = `{"name":"f","arguments":{"a":1}}` + "\x00"
		c := begin(w, nil)
		ready(t, c)
		for limit, finish := range map[int]infer.Finish{28: infer.Length, 0: infer.ToolCalls} {
			r := raw("", limit)
			r.Tools = []infer.Tool{{Name: "f"}}
			if h := listen(t, ask(t, c, r), 0, 0); h.end.Finish != finish || h.text != "" {
				t.Errorf("at most %d tokens: %q %s", limit, h.text, h.end.Finish)
			}
		}
		stop(t, c)
	})
}

// A client that goes ends an answer that nobody can follow or would, and no other.
func TestClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), newNotes())
		ready(t, c)
		for session, want := range map[string]infer.Finish{"": infer.Cancelled, "s": infer.Length, "unnamed": infer.Cancelled} {
			ctx, cancel := context.WithCancel(t.Context())
			r := raw(session, 20)
			r.Unnamed = session == "unnamed"
			a, err := c.Ask(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(55 * time.Millisecond)
			cancel()
			if h := listen(t, a, 0, 0); h.end.Finish != want {
				t.Errorf("session %q: %s after %d tokens", session, h.end.Finish, len(h.text))
			}
		}
		stop(t, c)
	})
}

func TestSessionAnswersOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), newNotes())
		ready(t, c)
		first := ask(t, c, raw("s", 20))
		_, err := c.Ask(t.Context(), raw("s", 20))
		wantCode(t, err, infer.Conflict, first.ID()+".0")
		same, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil || same.ID() != first.ID() {
			t.Errorf("follows %v, %v", same, err)
		}
		_, err = c.Follow(t.Context(), infer.Following{Session: "s", ID: "another"})
		wantCode(t, err, infer.NoSession, "another")
		_, err = c.Follow(t.Context(), infer.Following{Session: "t", ID: first.ID()})
		wantCode(t, err, infer.NoSession, "")
		if err := c.Forget(infer.By{}, "s"); err == nil {
			t.Error("a session was forgotten under its answer")
		}
		listen(t, first, 0, 0)
		second := ask(t, c, raw("s", 4))
		listen(t, second, 0, 0)
		if a, err := c.Follow(t.Context(), infer.Following{Session: "s", ID: first.ID()}); err != nil || len(listen(t, a, 0, 0).text) != 20 {
			t.Errorf("the answer before: %v", err)
		}
		stop(t, c)
	})
}

// The seed is told where none was given, and gives the same answer again.
func TestSeedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil)
		ready(t, c)
		r := raw("", 20)
		r.Seed = nil
		h := listen(t, ask(t, c, r), 0, 0)
		seed := h.end.Provenance.Seed
		r.Seed = &seed
		if again := listen(t, ask(t, c, r), 0, 0); again.text != h.text {
			t.Errorf("%q and %q under seed %d", h.text, again.text, seed)
		}
		if n := h.end.Provenance.Sources["unsplit"]; n != 20 || h.end.Provenance.Why["unsplit"] != 20 {
			t.Errorf("%+v", h.end.Provenance)
		}
		tokens := c.Snapshot().Tokens
		if tokens.Total["unsplit"] != 40 || tokens.Recent["unsplit"] != 40 || tokens.Answers != 2 || tokens.FirstMS != 10 {
			t.Errorf("%+v", tokens)
		}
		stop(t, c)
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.context = 10000
		c := begin(w, nil)
		ready(t, c)
		ask(t, c, raw("", 3000))
		time.Sleep(20 * time.Second)
		if r := c.Snapshot().Tokens.Rate; r < 99 || r > 101 {
			t.Errorf("%.1f tokens/s at 100", r)
		}
		time.Sleep(30 * time.Second)
		if s := c.Snapshot().Tokens; s.Rate < 99 || s.Rate > 101 || s.Recent["unsplit"] != recent {
			t.Errorf("an answer of 100 tokens/s that has ended: %+v", s)
		}
		for range 3 * rateOver { // the time between short answers, and their prompts', does not count
			ask(t, c, raw("", 5))
			time.Sleep(time.Minute)
		}
		if r := c.Snapshot().Tokens.Rate; r < 99 || r > 101 {
			t.Errorf("%.1f tokens/s of short answers at 100", r)
		}
		stop(t, c)
	})
}

// Answers are kept for a while, within bounds, and dropped whole.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil, func(o *Options) { o.KeepBytes = 20000 })
		ready(t, c)
		var ids []string
		for _, s := range []string{"a", "b", "c"} {
			a := ask(t, c, raw(s, 40))
			listen(t, a, 0, 0)
			ids = append(ids, a.ID())
		}
		_, err := c.Follow(t.Context(), infer.Following{Session: "a", ID: ids[0]})
		wantCode(t, err, infer.NoSession, "")
		if a, err := c.Follow(t.Context(), infer.Following{Session: "c", ID: ids[2]}); err != nil || len(listen(t, a, 0, 0).text) != 40 {
			t.Errorf("the newest: %v", err)
		}
		time.Sleep(11*time.Minute + time.Second)
		if _, err = c.Follow(t.Context(), infer.Following{Session: "c", ID: ids[2]}); err == nil || c.bytes != 0 || len(c.jobs)+len(c.sessions) != 0 {
			t.Errorf("%v, %d bytes, %d answers", err, c.bytes, len(c.jobs))
		}
		stop(t, c)
	})
}

// A model that nobody has used for its time is unloaded, and loaded again for the
// next request, which waits for it.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load = 3 * time.Second
		c := begin(w, nil, func(o *Options) { o.KeepAlive = time.Minute })
		ready(t, c)
		listen(t, ask(t, c, raw("", 20)), 0, 0)
		time.Sleep(59 * time.Second)
		if s := c.Snapshot(); s.State != status.Ready || s.Model == nil {
			t.Errorf("%s", s.State)
		}
		time.Sleep(2 * time.Second)
		if s := c.Snapshot(); s.State != status.Unloaded || s.Model != nil || w.closed != 1 {
			t.Errorf("%s, %d closed", s.State, w.closed)
		}
		h := listen(t, ask(t, c, raw("", 5)), 0, 0)
		if len(h.text) != 5 || h.end.Usage.Load != w.load {
			t.Errorf("%q, loaded in %s", h.text, h.end.Usage.Load)
		}
		ask(t, c, raw("", 20))
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c.Snapshot().State != status.Ready {
			t.Error("unloaded under an answer")
		}
		time.Sleep(time.Second)
		if c.Snapshot().State != status.Unloaded {
			t.Error("not unloaded after it")
		}
		if err := c.Load(t.Context(), "", -1); err != nil || w.loads != 3 {
			t.Errorf("%v, %d loads", err, w.loads)
		}
		stop(t, c)
	})
}

// A model that was unloaded by keep_alive 0 answers the next who ask, is unloaded
// once for them, and stays as configured from then on.
func TestUnloadedAnswersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load = 3 * time.Second
		c := begin(w, nil)
		ready(t, c)
		unload := func() {
			if err := c.Load(t.Context(), "", 0); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		unload()
		gone, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Ask(gone, raw("", 5)); !errors.Is(err, context.Canceled) {
				t.Errorf("who has gone is answered: %v", err)
			}
		})
		wg.Go(func() {
			if h := listen(t, ask(t, c, raw("", 5)), 0, 0); len(h.text) != 5 {
				t.Errorf("%q", h.text)
			}
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		time.Sleep(time.Hour)
		if s := c.Snapshot(); s.State != status.Ready || w.loads != 2 {
			t.Errorf("%s after %d loads", s.State, w.loads)
		}
		unload()
		if s := c.Snapshot(); s.State != status.Unloaded || w.closed != 2 {
			t.Errorf("%s, %d closed", s.State, w.closed)
		}
		stop(t, c)
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var text strings.Builder
		last := 0
		c := begin(newWorld(), nil, func(o *Options) {
			o.Observe = func(s TokenSeen) {
				mu.Lock()
				defer mu.Unlock()
				text.WriteString(s.Text)
				last = s.Index
			}
		})
		ready(t, c)
		h := listen(t, ask(t, c, raw("", 20)), 0, 0)
		if text.String() != h.text || last != 20 {
			t.Errorf("seen %q, said %q", text.String(), h.text)
		}
		stop(t, c)
	})
}

// What is configured anew holds for the next request.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil, func(o *Options) { o.Defaults.Mode = decode.Collaborative })
		ready(t, c)
		if m := c.Snapshot().Mode; m != "unsplit" {
			t.Errorf("mode %s where the cloud is not to be had", m)
		}
		c.Configure(decode.Options{Mode: decode.Standalone, MaxTokens: 3}, time.Second)
		h := listen(t, ask(t, c, raw("", 0)), 0, 0)
		if h.end.Provenance.Mode != "standalone" || len(h.text) != 3 || c.Snapshot().Mode != "standalone" {
			t.Errorf("%q, %+v", h.text, h.end.Provenance)
		}
		time.Sleep(2 * time.Second)
		if s := c.Snapshot().State; s != status.Unloaded {
			t.Errorf("%s", s)
		}
		stop(t, c)
	})
}

// An answer that ends in the midst of a call, as at max_tokens, is written down with what
// there is of the call.
func TestCutCallIsWrittenDown(t *testing.T) {
	m := AnswerMessage("", []infer.CallDelta{{ID: "call_1", Name: "lamp", Arguments: `{"on":`}, {Arguments: "tr"}})
	b, err := json.Marshal(Record{Messages: []infer.Message{m}})
	if err != nil || !strings.Contains(string(b), `"arguments":"{\"on\":tr"`) {
		t.Errorf("%s, %v", b, err)
	}
}
