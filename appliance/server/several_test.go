package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Models are loaded as they are asked for, and the one that was used least recently goes where
// another needs its room: never more than memory has, and none that is not asked.
func TestLeastRecentlyUsedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 4, "b": 4, "c": 4, "d": 1, "huge": 20})
		var lines bytes.Buffer
		c := z.opened(nil, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&lines, nil)) })
		defer stop(t, c)
		ready(t, c)
		for _, step := range []struct{ model, log string }{
			{"", ""}, {"b", "+b"}, {"B:latest", ""}, {"a", ""}, {"c", "-b +c"}, {"a", ""}, {"b", "-c +b"}, {"d", "-a +d"}, {"c", "-b +c"}, {"", "-d +a"},
		} {
			time.Sleep(time.Second)
			n := len(z.log)
			hears(t, c, of(step.model, 2))
			if got := z.since(n); got != step.log {
				t.Errorf("%q: %q, want %q", step.model, got, step.log)
			}
		}
		n := len(z.log)
		_, err := c.Ask(t.Context(), of("huge", 2))
		wantCode(t, err, infer.Unavailable, "model huge cannot be loaded: it takes 20 of 8")
		_, err = c.Ask(t.Context(), of("none", 2))
		wantCode(t, err, infer.NoModel, "this board has a, b, c, d, huge")
		if got := z.since(n); got != "" || z.most > z.room {
			t.Errorf("what cannot be has %q done; %d of %d were taken", got, z.most, z.room)
		}
		for _, words := range []string{`msg="the model is unloaded" model=b why="room for c"`, `msg="the model is loaded" model=c`} {
			if !strings.Contains(lines.String(), words) {
				t.Errorf("the log lacks %s:\n%s", words, lines.String())
			}
		}
	})
}

// A busy model starves no other: after a few more requests those for it wait behind the one
// that has no room, and its place is told.
func TestBusyModelStarvesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(4, map[string]int{"a": 4, "b": 4})
		z.load = time.Second
		c := z.opened(nil)
		defer stop(t, c)
		ready(t, c)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var ends []string
		end := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, name)
		}
		asks, quit := 0, make(chan struct{})
		for range 3 { // clients that ask a without a pause
			wg.Go(func() {
				for {
					select {
					case <-quit:
						return
					default:
					}
					mu.Lock()
					asks++
					mu.Unlock()
					hears(t, c, of("a", 50))
					end("a")
				}
			})
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		before := len(ends)
		mu.Unlock()
		first := ask(t, c, of("b", 5))
		if first.Model() != "b" || first.ID() == "" {
			t.Errorf("it waits for %q as %q", first.Model(), first.ID())
		}
		second := ask(t, c, of("b", 5))
		if s := c.Snapshot(); s.State != status.Ready || s.Queue.Waiting < 2 || s.Models[0].Name != "a" || s.Models[0].Users == 0 {
			t.Errorf("%s, %d wait", s.State, s.Queue.Waiting)
		}
		h := listen(t, first, 0, 0)
		if h.end.Err != nil || len(h.text) != 5 || h.kinds[0] != infer.Queued || h.end.Usage.Load == 0 {
			t.Errorf("%q after %v, loaded in %s: %v", h.text, h.kinds, h.end.Usage.Load, h.end.Err)
		}
		mu.Lock()
		if n := len(ends) - before; n > passes+3+3 {
			t.Errorf("%d answers of the busy model were first", n)
		}
		mu.Unlock()
		var places []int
		for e := range second.Events(t.Context(), 0) {
			if e.Kind == infer.Queued {
				places = append(places, e.Queue)
			}
		}
		close(quit)
		wg.Wait()
		if z.most > z.room || !strings.HasPrefix(z.since(0), "+a -a +b -b +a") {
			t.Errorf("%s with at most %d", z.since(0), z.most)
		}
	})
}

// Of those who wait for one model, and for another behind it, the first come first; a model in
// use is not unloaded under its answers.
func TestFirstComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(4, map[string]int{"a": 4, "b": 4, "c": 4})
		c := z.opened(nil)
		defer stop(t, c)
		ready(t, c)
		long := ask(t, c, of("a", 300)) // 3 s
		var waiting []infer.Answer
		for _, m := range []string{"b", "c", "b"} {
			waiting = append(waiting, ask(t, c, of(m, 100)))
		}
		place := func(a infer.Answer) int {
			for e := range a.Events(t.Context(), 0) {
				return e.Queue
			}
			return -1
		}
		if got := []int{place(waiting[0]), place(waiting[1]), place(waiting[2])}; !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("their places are %v", got)
		}
		if h := listen(t, long, 0, 0); len(h.text) != 300 {
			t.Errorf("the model in use said %d letters", len(h.text))
		}
		for _, a := range waiting {
			if h := listen(t, a, 0, 0); len(h.text) != 100 || h.end.Err != nil || h.end.Provenance.Answer != a.ID() {
				t.Errorf("%s: %q, %v", a.Model(), h.text, h.end.Err)
			}
		}
		if got := z.since(0); got != "+a -a +b -b +c" {
			t.Error(got)
		}
	})
}

// A keep_alive holds until the next request, which without one has the configured time come
// back; when a model goes is told truly.
func TestKeepAliveOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 4, "b": 4})
		c := z.opened(nil, func(o *Options) { o.KeepAlive = time.Minute })
		defer stop(t, c)
		ready(t, c)
		expires := func() time.Duration {
			m, err := c.Resolve("b")
			if err != nil || !m.Loaded || m.Expires.IsZero() {
				return -1
			}
			return time.Until(m.Expires)
		}
		loaded := func() bool { m, _ := c.Resolve("b"); return m.Loaded }
		for _, keep := range []time.Duration{10 * time.Second, time.Hour, -1} {
			want := keep
			if hears(t, c, z.kept("b", keep)); expires() != want {
				t.Errorf("keep_alive %s: it goes in %s", keep, expires())
			}
			if want > 0 {
				time.Sleep(want - time.Second)
				if !loaded() {
					t.Errorf("keep_alive %s: it went too soon", keep)
				}
				time.Sleep(2 * time.Second)
				if loaded() {
					t.Errorf("keep_alive %s: it is still there", keep)
				}
			}
			if hears(t, c, of("b", 3)); expires() != time.Minute {
				t.Errorf("after a request without: it goes in %s", expires())
			}
		}
		hears(t, c, z.kept("b", 0))
		synctest.Wait()
		if loaded() {
			t.Error("keep_alive 0: it is still there")
		}
		if err := c.Load(t.Context(), "b", -1); err != nil || expires() != -1 || !loaded() {
			t.Errorf("preloaded for ever: %v, it goes in %s", err, expires())
		}
		if err := c.Wake(t.Context(), "b"); err != nil || expires() != time.Minute {
			t.Errorf("preloaded without saying for how long: %v, it goes in %s", err, expires())
		}
		if err := c.Load(t.Context(), "b", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := c.Load(t.Context(), "b", 0); err != nil || loaded() || z.tries["b"] != 4 {
			t.Errorf("what is not loaded is loaded to be unloaded: %v, %d loads", err, z.tries["b"])
		}
	})
}

// A pinned model is loaded at once, and stays whatever is asked; what has no room beside it is
// refused with the numbers.
func TestPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 3, "b": 5, "c": 4, "d": 3})
		c := z.opened(nil, func(o *Options) { o.Pin, o.KeepAlive = []string{"B:latest", "missing"}, time.Minute })
		defer stop(t, c)
		ready(t, c)
		synctest.Wait()
		if got := z.since(0); got != "+a +b" {
			t.Fatalf("at the start: %q", got)
		}
		_, err := c.Ask(t.Context(), of("c", 3))
		wantCode(t, err, infer.Unavailable, "it takes 4 of 8, and 5 are taken")
		hears(t, c, of("d", 3))
		wantCode(t, c.Load(t.Context(), "b", 0), infer.BadRequest, "pinned")
		if e := hears(t, c, z.kept("b", 0)); !strings.Contains(fmt.Sprint(e.Provenance.Notes), "pinned") {
			t.Errorf("notes %q", e.Provenance.Notes)
		}
		time.Sleep(time.Hour)
		if got := z.since(2); got != "-a +d -d" {
			t.Errorf("it does not stay: %q", got)
		}
		if s := c.Snapshot(); len(s.Models) != 1 || !s.Models[0].Pinned || s.Models[0].Name != "b" || s.State != status.Ready || !s.CanAnswer() {
			t.Errorf("%s %+v", s.State, s.Models)
		}
	})
}

// Who goes while waiting for a model leaves nothing behind; what was asked in a session waits
// on, and can be followed and cancelled.
func TestGoneWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(4, map[string]int{"a": 4, "b": 4})
		c := z.opened(newNotes())
		defer stop(t, c)
		ready(t, c)
		long := ask(t, c, of("a", 500)) // 5 s
		ctx, cancel := context.WithCancel(t.Context())
		gone, err := c.Ask(ctx, of("b", 5))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if h := listen(t, gone, 0, 0); h.end.Err == nil && h.end.Finish != infer.Cancelled {
			t.Errorf("who has gone is answered %q", h.text)
		}
		if n := c.Snapshot().Queue.Waiting; n != 0 {
			t.Errorf("%d wait", n)
		}
		in := func(session string) infer.Request {
			r := of("b", 5)
			r.Session = session
			return r
		}
		ctx, cancel = context.WithCancel(t.Context())
		kept, err := c.Ask(ctx, in("s"))
		if err != nil {
			t.Fatal(err)
		}
		cancelled := ask(t, c, in("t"))
		cancel()
		synctest.Wait()
		a, err := c.Follow(t.Context(), infer.Following{Session: "s", ID: kept.ID()})
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, s := range sessionsOf(c) {
			states[s.ID] = s.State + " " + s.Model
		}
		if states["s"] != "queued b" || states["t"] != "queued b" {
			t.Errorf("sessions %v", states)
		}
		if err := c.Cancel(infer.By{}, "t"); err != nil {
			t.Fatal(err)
		}
		if h := listen(t, cancelled, 0, 0); h.end.Finish != infer.Cancelled || h.text != "" {
			t.Errorf("cancelled: %q, %s", h.text, h.end.Finish)
		}
		if h := listen(t, a, 0, 0); len(h.text) != 5 || h.end.Err != nil {
			t.Errorf("followed: %q, %v", h.text, h.end.Err)
		}
		if h := listen(t, long, 0, 0); len(h.text) != 500 {
			t.Errorf("%d letters", len(h.text))
		}
	})
}

// The end comes in the midst of a load: who waits is told so, and nothing is left open.
func TestShutdownWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(4, map[string]int{"a": 4, "b": 4})
		c := z.opened(nil)
		ready(t, c)
		long := ask(t, c, of("a", 100))
		waits := ask(t, c, of("b", 5))
		listen(t, long, 0, 0)
		z.mu.Lock()
		z.load = time.Hour
		z.mu.Unlock()
		other, err := make(chan error, 1), error(nil)
		go func() {
			_, err := c.Ask(t.Context(), of("a", 5))
			other <- err
		}()
		synctest.Wait()
		stop(t, c)
		if h := listen(t, waits, 0, 0); !errors.Is(h.end.Err, errStopping) && len(h.text) != 5 {
			t.Errorf("%q, %v", h.text, h.end.Err)
		}
		if err = <-other; err != nil && !errors.Is(err, errStopping) {
			t.Error(err)
		}
		if z.taken != 0 {
			t.Errorf("%d are still taken", z.taken)
		}
		_, err = c.Ask(t.Context(), of("b", 5))
		wantCode(t, err, infer.Stopping, "")
	})
}

// A model that cannot be loaded is tried again after a pause that grows, by who asks it; the
// others are nothing to it.
func TestFailsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 4, "b": 4})
		z.fail["b"] = errors.New("b is\ncorrupt")
		c := z.opened(nil)
		defer stop(t, c)
		ready(t, c)
		for tries, pause := 1, firstRetry; tries < 4; tries, pause = tries+1, 2*pause {
			for range 3 {
				_, err := c.Ask(t.Context(), of("b", 3))
				wantCode(t, err, infer.Unavailable, "model b cannot be loaded: b is corrupt")
				var e *infer.Error
				if errors.As(err, &e) && e.RetryAfter != pause {
					t.Errorf("again in %s, want %s", e.RetryAfter, pause)
				}
			}
			if z.tries["b"] != tries || c.Err() != nil {
				t.Errorf("%d tries, want %d; the default: %v", z.tries["b"], tries, c.Err())
			}
			hears(t, c, of("a", 3))
			time.Sleep(pause)
		}
		delete(z.fail, "b")
		hears(t, c, of("b", 3))
		if s := c.Snapshot(); s.State != status.Ready || len(s.Models) != 2 || !s.Models[0].Default || s.Models[1].Name != "b" {
			t.Errorf("%s %+v", s.State, s.Models)
		}
	})
}

// A session says which model it is with. Its answer goes on with that one after a restart,
// and the next question may go to another, which reads the conversation by its own template.
func TestSessionKeepsItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, kept := newZoo(8, map[string]int{"a": 4, "b": 4}), newNotes()
		c := z.opened(kept)
		ready(t, c)
		r := of("b", 40)
		r.Session, r.Raw, r.Prompt, r.Messages = "s", false, "", []infer.Message{{Role: "user", Content: "hello"}}
		first := ask(t, c, r)
		listen(t, first, 0, 20)
		crashed := kept.crash(3)
		whole := listen(t, first, 0, 0)
		stop(t, c)
		z = newZoo(8, z.sizes)
		c = z.opened(crashed)
		defer stop(t, c)
		ready(t, c)
		a, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); a.Model() != "b" || h.text != whole.text {
			t.Errorf("%s goes on with %q, not %q", a.Model(), h.text, whole.text)
		}
		all := -1
		next := infer.Request{Model: "a", Session: "s", After: &all, Messages: []infer.Message{{Role: "user", Content: "and now?"}}, Options: infer.Options{MaxTokens: 4}}
		hears(t, c, next)
		v, err := c.Conversation(infer.By{}, "s")
		if err != nil || v.Model != "a" || len(v.Messages) != 4 {
			t.Errorf("%s has %d messages: %v", v.Model, len(v.Messages), err)
		}
	})
}

// doneHook is a context that calls back whenever somebody asks for its Done.
type doneHook struct {
	context.Context
	call func()
}

func (d doneHook) Done() <-chan struct{} {
	d.call()
	return d.Context.Done()
}

// A session may be cancelled at any moment of its question's way into the queue.
func TestCancelledWhileItBeginsToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(4, map[string]int{"a": 4, "b": 4})
		c := z.opened(newNotes())
		defer stop(t, c)
		ready(t, c)
		long := ask(t, c, of("a", 100))
		ctx := doneHook{t.Context(), func() {
			if err := c.Cancel(infer.By{}, "s"); err != nil {
				t.Error(err)
			}
		}}
		r := of("b", 5)
		r.Session, r.Unnamed = "s", true
		a, err := c.Ask(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); len(h.text) != 5 && h.end.Finish != infer.Cancelled {
			t.Errorf("%q, %s: %v", h.text, h.end.Finish, h.end.Err)
		}
		listen(t, long, 0, 0)
	})
}

// Who follows another's session is refused before its model is loaded.
func TestOthersSessionLoadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, kept := newZoo(8, map[string]int{"a": 4, "b": 4}), newNotes()
		c := z.opened(kept)
		ready(t, c)
		r := of("b", 5)
		r.Session, r.By = "s", infer.By{Owner: "laptop"}
		hears(t, c, r)
		stop(t, c)
		z = newZoo(8, z.sizes)
		c = z.opened(kept.crash(0))
		defer stop(t, c)
		ready(t, c)
		_, err := c.Follow(t.Context(), infer.Following{By: infer.By{Owner: "phone"}, Session: "s"})
		wantCode(t, err, infer.Forbidden, "another key's")
		if got := z.since(0); got != "+a" {
			t.Errorf("for the refusal: %s", got)
		}
	})
}

// A model that was found by its name before it was known to be the default is the default.
func TestFoundBeforeItWasTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 4, "b": 4})
		z.load = time.Second
		c := lateDefault{z}.opened(Options{})
		defer stop(t, c)
		e, err := c.entryOf("a")
		if err != nil || e.main {
			t.Fatalf("it is known already: %v", err)
		}
		ready(t, c)
		m, err := c.useEntry(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		c.release(m)
		if got := z.since(0); got != "+a" || z.tries["a"]+z.tries[""] != 1 {
			t.Errorf("%s, tried %v", got, z.tries)
		}
	})
}

// The end of the process may come as a model is put into use: it is closed once.
func TestEndWhileAModelIsPutIntoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load = time.Second
		var c *Core
		c = New(Options{Loader: endsInUse{w, func() { c.cancel() }}})
		c.LimitThreads(1, false)
		time.Sleep(2 * time.Second)
		stop(t, c)
		if w.loads != 1 || w.closed != 1 {
			t.Errorf("%d loads, %d models closed", w.loads, w.closed)
		}
	})
}

// A pinned model that is not here at the start is pinned once it is fetched.
func TestPinnedOnceItIsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 3})
		c := z.opened(nil, func(o *Options) { o.Pin = []string{"b"} })
		defer stop(t, c)
		ready(t, c)
		z.sizes["b"] = 4
		if err := c.Pull(t.Context(), "b", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantCode(t, c.Load(t.Context(), "b", 0), infer.BadRequest, "pinned")
		if got := z.since(0); got != "+a +b" {
			t.Error(got)
		}
	})
}

// A pinned model that turns out to be the default is in memory once.
func TestPinnedIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZoo(8, map[string]int{"a": 4})
		z.fail[""] = errors.New("there is no network")
		c := lateDefault{z}.opened(Options{Pin: []string{"a"}})
		defer stop(t, c)
		time.Sleep(time.Second)
		long := ask(t, c, of("a", 900)) // 9 s
		z.mu.Lock()
		delete(z.fail, "")
		z.mu.Unlock()
		time.Sleep(firstRetry)
		s := c.Snapshot()
		if got := z.since(0); got != "+a +a -a" || len(s.Models) != 1 || !s.Models[0].Default || !s.Models[0].Pinned {
			t.Errorf("%s, and %+v", got, s.Models)
		}
		if h := listen(t, long, 0, 0); len(h.text) != 900 || h.end.Err != nil {
			t.Errorf("%d letters of the answer under way: %v", len(h.text), h.end.Err)
		}
		hears(t, c, of("", 3))
	})
}
