package server

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"skerry/appliance/infer"
)

// An answer that is cancelled ends for good as far as it came, for whoever may.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		defer stop(t, c)
		a := ask(t, c, raw("s", 60))
		listen(t, a, 0, 12)
		wantCode(t, c.Cancel(infer.By{Owner: "another"}, "s"), infer.Forbidden, "another key's")
		if err := c.Cancel(infer.By{}, "s"); err != nil {
			t.Fatal(err)
		}
		h := listen(t, a, 0, 0)
		if n := len(h.text); h.end.Finish != infer.Cancelled || n < 10 || n > 20 {
			t.Errorf("%s after %d tokens", h.end.Finish, n)
		}
		r := j.sessions["s"].record
		if r.Finish != infer.Cancelled || len(r.Messages) != 2 || r.Messages[1].Content != h.text {
			t.Errorf("kept %+v, heard %q", r, h.text)
		}
		for _, session := range []string{"s", "none", ""} { // nothing is under way there
			if err := c.Cancel(infer.By{}, session); err != nil {
				t.Errorf("%q: %v", session, err)
			}
		}
	})
}

// A whole answer is owed to its reader until it is delivered, where that is asked for, and
// given again it is not asked anew.
func TestDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, w := newNotes(), newWorld()
		owing := func(o *Options) { o.Undelivered = true }
		c := begin(w, j, owing)
		ready(t, c)
		want := listen(t, ask(t, c, raw("s", 20)), 0, 0).text
		stop(t, c)
		left := j.crash(0)
		c = begin(w, left, owing)
		ready(t, c)
		v, err := c.Conversation(infer.By{}, "s")
		if err != nil || !v.Undelivered || v.Unfinished {
			t.Errorf("%+v, %v", v, err)
		}
		a, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if _, said := a.Begun(); said != 20 || listen(t, a, 0, 0).text != want {
			t.Errorf("%d tokens were said before", said)
		}
		if err := c.Delivered("s"); err != nil || left.sessions["s"].record.Undelivered || w.begun != 1 {
			t.Errorf("%v, %+v, decoded %d times", err, left.sessions["s"].record, w.begun)
		}
		stop(t, c)
	})
}

// An answer that is too long to be kept as text is owed by its question all the same; once it
// is delivered the conversation is kept as tokens alone. One that is too long before it is
// answered is refused, with nothing computed.
func TestDeliveredLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const words = 39000
		j, w := newNotes(), newWorld()
		w.context = 1 << 20
		owing := func(o *Options) { o.Undelivered = true }
		c := begin(w, j, owing)
		ready(t, c)
		r := raw("s", 20000)
		r.Prompt = strings.Repeat("x", words)
		want := listen(t, ask(t, c, r), 0, 0).text
		stop(t, c)
		left := j.crash(0)
		c = begin(w, left, owing)
		ready(t, c)
		v, err := c.Conversation(infer.By{}, "s")
		if err != nil || !v.Undelivered || !v.Unkept || len(v.Messages) != 1 || v.Messages[0].Content != r.Prompt {
			t.Fatalf("%d messages, undelivered %t, unkept %t, %v", len(v.Messages), v.Undelivered, v.Unkept, err)
		}
		a, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if got := listen(t, a, 0, 0).text; got != want {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
		if v, err := c.Conversation(infer.By{}, "s"); err != nil || len(v.Messages) != 2 || v.Messages[0].Content != r.Prompt {
			t.Errorf("%d messages, %v", len(v.Messages), err)
		}
		if err := c.Delivered("s"); err != nil {
			t.Fatal(err)
		}
		if r := left.sessions["s"].record; r.Messages != nil || r.Undelivered || w.begun != 1 {
			t.Errorf("%d messages are kept, undelivered %t, decoded %d times", len(r.Messages), r.Undelivered, w.begun)
		}
		r.Session, r.Prompt = "other", strings.Repeat("x", longestRecord)
		_, err = c.Ask(t.Context(), r)
		wantCode(t, err, infer.BadRequest, "session other: the conversation is too long to be kept: begin another session")
		if left.sessions["other"] != nil || w.begun != 1 {
			t.Error("it was computed or written down")
		}
		stop(t, c)
	})
}

// A cut answer of before there were ids and requests in the journal goes on, too, and what
// it does about a link is as this process was told.
func TestOldRecordGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := undisturbed(t, newWorld(), raw("", 40))
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		listen(t, ask(t, c, raw("s", 40)), 0, 13)
		left := j.crash(0)
		stop(t, c)
		r := &left.sessions["s"].record
		r.ID, r.Request = "", nil
		next := begin(newWorld(), left, func(o *Options) { o.Defaults.OnLoss = infer.AwaitCloud })
		ready(t, next)
		defer stop(t, next)
		if s := sessionsOf(next); len(s) != 1 || s[0].State != cutOff {
			t.Errorf("sessions %+v", s)
		}
		a, err := next.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); h.text != want || a.ID() == "" {
			t.Errorf("%q, want %q", h.text, want)
		}
		if on := a.(*job).opt.OnLoss; on != infer.AwaitCloud {
			t.Errorf("on loss %q", on)
		}
	})
}

// A token that would end the answer does not where that is ignored, also after a restart.
func TestIgnoreEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, j := newWorld(), newNotes()
		w.script = "one\x00two\x00"
		ignoring := func(o *Options) { o.Defaults.IgnoreEnd = true }
		c := begin(w, j, ignoring)
		ready(t, c)
		if h := listen(t, ask(t, c, raw("s", 6)), 0, 0); h.end.Finish != infer.Length || h.end.Usage.Completion != 6 {
			t.Errorf("%s after %d tokens: %q", h.end.Finish, h.end.Usage.Completion, h.text)
		}
		stop(t, c)
		left := j.crash(0)
		left.sessions["s"].tokens = left.sessions["s"].tokens[:len("hello")+4] // up to the first end
		left.sessions["s"].record.Finish = ""
		c = begin(w, left, ignoring)
		ready(t, c)
		defer stop(t, c)
		a, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, a, 0, 0); h.end.Usage.Completion != 6 || !strings.Contains(h.text, "tw") {
			t.Errorf("it goes on as %q", h.text)
		}
	})
}

// Await has the model, or why there is none.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		if err := c.Await(t.Context()); err != nil || c.Models()[0].Name == "" {
			t.Errorf("%v", err)
		}
		stop(t, c)
		w.fail = []error{errors.New("the disk is gone")}
		c = begin(w, nil)
		defer stop(t, c)
		if err := c.Await(t.Context()); err == nil || err.Error() != "the disk is gone" {
			t.Errorf("%v", err)
		}
	})
}
