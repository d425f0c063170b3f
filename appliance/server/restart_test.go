package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
)

// undisturbed is the answer that every client must end with.
func undisturbed(t *testing.T, w *world, r infer.Request) string {
	t.Helper()
	c := begin(w, nil)
	ready(t, c)
	defer stop(t, c)
	r.Session = ""
	return listen(t, ask(t, c, r), 0, 0).text
}

// A process that is killed leaves a journal from which the next goes on: a client
// gets the rest, or a rewind where it has seen more than was written down.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := undisturbed(t, newWorld(), raw("", 40))
		for _, less := range []int{0, 5} {
			j := newNotes()
			c := begin(newWorld(), j)
			ready(t, c)
			a := ask(t, c, raw("s", 40))
			before := listen(t, a, 0, 13)
			seen := len(before.text)
			left := j.crash(less)
			stop(t, c)

			next := begin(newWorld(), left)
			ready(t, next)
			if s := sessionsOf(next); len(s) != 1 || s[0].State != cutOff || !s[0].Kept {
				t.Errorf("sessions %+v", s)
			}
			b, err := next.Follow(t.Context(), infer.Following{Session: "s", ID: a.ID()})
			if err != nil {
				t.Fatal(err)
			}
			rest := listen(t, b, seen, 0)
			text := before.text
			for _, index := range rest.rewinds {
				text = before.at[index]
			}
			if text+rest.text != want || (less > 0) != (len(rest.rewinds) == 1) {
				t.Errorf("less %d: %q and %q after rewinds %v, want %q", less, text, rest.text, rest.rewinds, want)
			}
			if tr := rest.end.Provenance; rest.end.Finish != infer.Length || tr.Resumed == 0 || tr.Resumed+tr.Sources["unsplit"] != 40 || tr.Seed != 5 {
				t.Errorf("%s %+v", rest.end.Finish, tr)
			}
			stop(t, next)

			// Whole, it is read from the journal alone.
			last := begin(newWorld(), left.crash(0))
			ready(t, last)
			again, err := last.Follow(t.Context(), infer.Following{Session: "s"})
			if err != nil {
				t.Fatal(err)
			}
			if h := listen(t, again, 0, 0); h.text != want || h.end.Finish != infer.Length || again.ID() != a.ID() {
				t.Errorf("%q %s", h.text, h.end.Finish)
			}
			stop(t, last)
		}
	})
}

// A cut answer that the context of the next process has no room for is refused there, and
// stays as it is for one that has.
func TestRestartWithLessContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := undisturbed(t, newWorld(), raw("", 40))
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		listen(t, ask(t, c, raw("s", 40)), 0, 23)
		left := j.crash(0)
		stop(t, c)
		said := len(left.sessions["s"].tokens)
		for _, context := range []int{3, 12, said} { // less than the prompt, than the answer, and for no more of it
			w := newWorld()
			w.context = context
			next := begin(w, left)
			ready(t, next)
			_, err := next.Follow(t.Context(), infer.Following{Session: "s"})
			wantCode(t, err, infer.TooLong, "tokens with the answer so far")
			stop(t, next)
			if s := left.sessions["s"]; s.record.Finish != "" || len(s.tokens) != said {
				t.Errorf("context %d: the record is %+v with %d tokens", context, s.record, len(s.tokens))
			}
		}
		next := begin(newWorld(), left)
		ready(t, next)
		a, err := next.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); h.text != want || h.end.Finish != infer.Length {
			t.Errorf("%q (%s), want %q", h.text, h.end.Finish, want)
		}
		stop(t, next)
		// Whole, it is read however small the context is.
		left.sessions["s"].record.Finish = ""
		w := newWorld()
		w.context = 12
		last := begin(w, left)
		ready(t, last)
		defer stop(t, last)
		if a, err = last.Follow(t.Context(), infer.Following{Session: "s"}); err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); h.text != want || h.end.Finish != infer.Length {
			t.Errorf("whole: %q (%s), want %q", h.text, h.end.Finish, want)
		}
	})
}

// However the process ends between an answer's last token and the end that its reader
// hears, the same request with the last event id has the end, and no token twice.
func TestKilledAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := raw("s", 20)
		for name, kill := range map[string]func(n *notes) **notes{
			"before the journal's end": func(n *notes) **notes {
				left := new(*notes)
				n.saving = func() { *left = n.crash(0) }
				return left
			},
			"between the journal's end and the reader's": func(n *notes) **notes {
				left := new(*notes)
				n.saved = func() { *left = n.crash(0) }
				return left
			},
		} {
			j := newNotes()
			left := kill(j)
			c := begin(newWorld(), j)
			ready(t, c)
			a := ask(t, c, r)
			want := listen(t, a, 0, 0)
			stop(t, c)
			for seen := 19; seen <= 20; seen++ { // twice: to have heard of it once is no proof
				next := begin(newWorld(), (*left).crash(0))
				ready(t, next)
				b, err := next.Follow(t.Context(), infer.Following{Session: "s", ID: a.ID()})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got := listen(t, b, seen, 0)
				if want.at[seen]+got.text != want.text || got.end.Finish != infer.Length || got.end.Index != 20 || len(got.rewinds) > 0 || b.ID() != a.ID() {
					t.Errorf("%s, after %d tokens: %q %+v", name, seen, got.text, got.end)
				}
				stop(t, next)
			}
		}
	})
}

// What a stop string holds back is the same after a restart.
func TestRestartInAStopString(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script = "one two three four"
		r := raw("s", 60)
		r.Stop = []string{"two three five", "four"}
		want := undisturbed(t, w, r)
		for cutAt := 1; cutAt < 17; cutAt++ {
			j := newNotes()
			c := begin(w, j)
			ready(t, c)
			a := ask(t, c, r)
			before := listen(t, a, 0, cutAt)
			n := slices.Max(append([]int{0}, keys(before.at)...))
			left := j.crash(0)
			stop(t, c)
			next := begin(w, left)
			ready(t, next)
			b, err := next.Follow(t.Context(), infer.Following{Session: "s", ID: a.ID()})
			if err != nil {
				t.Fatal(err)
			}
			if rest := listen(t, b, n, 0); before.text+rest.text != want || rest.end.Finish != infer.Stop {
				t.Errorf("cut after %d events: %q %q, want %q (%s)", cutAt, before.text, rest.text, want, rest.end.Finish)
			}
			stop(t, next)
		}
	})
}

func keys(m map[int]string) (k []int) {
	for i := range m {
		k = append(k, i)
	}
	return k
}

// At a shutdown answers finish within the grace time; after it those of sessions
// stay in the journal as they are, and all clients are told.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, j := newWorld(), newNotes()
		c := begin(w, j)
		ready(t, c)
		short, long := ask(t, c, raw("short", 20)), ask(t, c, raw("long", 90))
		lost := ask(t, c, raw("", 90))
		grace, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		done := make(chan error)
		go func() { done <- c.Shutdown(grace) }()
		synctest.Wait()
		_, err := c.Ask(t.Context(), raw("", 3))
		wantCode(t, err, infer.Stopping, "ask again")
		var e *infer.Error
		if errors.As(err, &e); e.RetryAfter <= 0 {
			t.Error("no Retry-After")
		}
		if h := listen(t, short, 0, 0); h.end.Finish != infer.Length || len(h.text) != 20 {
			t.Errorf("%q %s", h.text, h.end.Finish)
		}
		for _, a := range []infer.Answer{long, lost} {
			h := listen(t, a, 0, 0)
			if got, _ := code(h.end.Err); h.end.Finish != infer.Failed || got != infer.Stopping {
				t.Errorf("%s %v", h.end.Finish, h.end.Err)
			}
		}
		if err := <-done; err != nil || w.saves != 1 || w.closed != 1 || j.syncs != 1 {
			t.Errorf("%v, %d saves, %d closed, %d syncs", err, w.saves, w.closed, j.syncs)
		}
		if r := j.sessions["long"]; r.record.Finish != "" || len(r.tokens) < 5+20 {
			t.Errorf("%q with %d tokens", r.record.Finish, len(r.tokens))
		}
		if r := j.sessions["short"]; r.record.Finish != "length" || len(r.tokens) != 25 {
			t.Errorf("%q with %d tokens", r.record.Finish, len(r.tokens))
		}
	})
}

// A shutdown with nothing under way waits for nobody.
func TestShutdownAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load = time.Hour
		c := begin(w, nil)
		synctest.Wait()
		began := time.Now()
		stop(t, c)
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %s", d)
		}
	})
}

// What the journal refuses costs no answer, and is told.
func TestJournalRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		j.err = errors.New("disk full")
		if err := c.JournalErr(); err == nil || err.Error() != "disk full" {
			t.Errorf("%v", err)
		}
		j.err, j.refuse = nil, errors.New("page is damaged")
		if h := listen(t, ask(t, c, raw("s", 20)), 0, 0); len(h.text) != 20 || h.end.Finish != infer.Length {
			t.Errorf("%q %s", h.text, h.end.Finish)
		}
		if err := c.JournalErr(); err == nil || err.Error() != "page is damaged" {
			t.Errorf("%v", err)
		}
		// The record stays that of an answer that is not whole.
		if r := j.sessions["s"]; r.record.Finish != "" || len(r.tokens) != 5 {
			t.Errorf("%q with %d tokens", r.record.Finish, len(r.tokens))
		}
		j.refuse = nil
		if listen(t, ask(t, c, raw("s", 20)), 0, 0); c.JournalErr() != nil || j.sessions["s"].record.Finish != "length" {
			t.Errorf("after one that was kept whole: %v", c.JournalErr())
		}
		stop(t, c)
	})
}

// A question that the journal refuses is answered by a daemon, and by nobody where the answer
// is to be kept until it is delivered.
func TestJournalRefusesTheQuestion(t *testing.T) {
	for _, owing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, j := newWorld(), newNotes()
			j.unbegun = errors.New("page is damaged")
			c := begin(w, j, func(o *Options) { o.Undelivered = owing })
			ready(t, c)
			defer stop(t, c)
			h := listen(t, ask(t, c, raw("s", 20)), 0, 0)
			if !owing {
				if len(h.text) != 20 || h.end.Finish != infer.Length {
					t.Errorf("a daemon: %q %s", h.text, h.end.Finish)
				}
				return
			}
			if h.text != "" || h.end.Finish != infer.Failed || w.begun != 0 {
				t.Errorf("%q %s, decoded %d times", h.text, h.end.Finish, w.begun)
			}
			wantCode(t, h.end.Err, infer.Internal, "session s cannot be written down (page is damaged): begin another session")
		})
	}
}

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, j := newWorld(), newNotes()
		w.script = "ahoy\x00"
		c := begin(w, j)
		ready(t, c)
		chat := infer.Request{Session: "s", Client: "me", Messages: []infer.Message{{Role: "user", Content: "hi"}}}
		a := ask(t, c, chat)
		v, err := c.Conversation(infer.By{}, "s")
		if err != nil || !v.Unfinished || v.Model != "tiny" || v.Client != "me" {
			t.Errorf("%+v, %v", v, err)
		}
		listen(t, a, 0, 0)
		check := func(c *Core) {
			t.Helper()
			v, err := c.Conversation(infer.By{}, "s")
			if err != nil || v.Unfinished || len(v.Messages) != 2 || v.Messages[0].Content != "hi" || v.Messages[1].Content != "ahoy" || v.State != idle {
				t.Errorf("%+v, %v", v, err)
			}
		}
		check(c)
		stop(t, c)
		c = begin(w, j.crash(0))
		check(c)
		ready(t, c)
		if _, err := c.Follow(t.Context(), infer.Following{Session: "s"}); err != nil {
			t.Error(err)
		}
		check(c)
		if err := c.Forget(infer.By{}, "s"); err != nil {
			t.Error(err)
		}
		_, err = c.Conversation(infer.By{}, "s")
		wantCode(t, err, infer.NoSession, "skerry sessions ls")
		_, err = c.Follow(t.Context(), infer.Following{Session: "s"})
		wantCode(t, err, infer.NoSession, "")
		stop(t, c)
	})
}

// A conversation has the tools of its last question, and not a question that is not wholly in
// the journal, as older programs might leave it.
func TestConversationOfAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		r := raw("s", 5)
		r.Tools, r.ParallelTools = []infer.Tool{{Name: "f"}}, true
		a := ask(t, c, r)
		check := func(c *Core, messages int) {
			t.Helper()
			v, err := c.Conversation(infer.By{}, "s")
			if err != nil || len(v.Tools) != 1 || !v.ParallelTools || len(v.Messages) != messages {
				t.Errorf("%+v, %v", v, err)
			}
		}
		check(c, 2)
		listen(t, a, 0, 0)
		stop(t, c)
		left := j.crash(0)
		c = begin(newWorld(), left)
		check(c, 2)
		torn := left.sessions["s"]
		torn.record.Finish, torn.record.Messages, torn.tokens = "", torn.record.Messages[:1], torn.tokens[:3]
		check(c, 0)
		stop(t, c)
	})
}

// A tool call that a restart cuts is told once, whole and under one id.
func TestRestartInAToolCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script = "Well.\n<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\x00"
		r := raw("s", 0)
		r.Tools = []infer.Tool{{Name: "f"}}
		type call struct{ id, name, arguments string }
		take := func(a infer.Answer, from, most int, c *call) (text string, end infer.Event) {
			for e := range a.Events(t.Context(), from) {
				text += e.Text
				for _, d := range e.Calls {
					c.id, c.name, c.arguments = c.id+d.ID, c.name+d.Name, c.arguments+d.Arguments
				}
				if end = e; e.Index >= most {
					break
				}
			}
			return text, end
		}
		for at := range len(w.script) {
			j := newNotes()
			c := begin(w, j)
			ready(t, c)
			a := ask(t, c, r)
			var got call
			before, last := take(a, 0, at, &got)
			left := j.crash(0)
			stop(t, c)
			next := begin(w, left)
			ready(t, next)
			b, err := next.Follow(t.Context(), infer.Following{Session: "s", ID: a.ID()})
			if err != nil {
				t.Fatal(err)
			}
			rest, end := take(b, last.Index, 1<<30, &got)
			if end.Finish != infer.ToolCalls || got.name != "f" || got.arguments != `{"a": 1}` || got.id == "" || before+rest != "Well.\n" && before+rest != "Well." {
				t.Errorf("cut at %d: %q %+v %s", at, before+rest, got, end.Finish)
			}
			v, err := next.Conversation(infer.By{}, "s")
			if m := v.Messages[len(v.Messages)-1]; err != nil || len(m.ToolCalls) != 1 || m.ToolCalls[0].ID != got.id {
				t.Errorf("%+v, %v", m, err)
			}
			stop(t, next)
		}
	})
}
