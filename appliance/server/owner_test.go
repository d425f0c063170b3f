package server

import (
	"testing"
	"testing/synctest"

	"skerry/appliance/infer"
)

// A session is its key's: others may not ask in it, follow it, see it or delete it,
// also after a restart; this machine and who may use everybody's can.
func TestSessionsBelongToTheirKey(t *testing.T) {
	laptop, phone, here := infer.By{Owner: "laptop"}, infer.By{Owner: "phone"}, infer.By{Every: true}
	synctest.Test(t, func(t *testing.T) {
		for _, journal := range []bool{true, false} {
			j := newNotes()
			begins := func(j *notes) *Core {
				if !journal {
					return begin(newWorld(), nil)
				}
				return begin(newWorld(), j)
			}
			c := begins(j)
			ready(t, c)
			as := func(by infer.By, session string) (infer.Answer, error) {
				r := raw(session, 5)
				r.By, r.Client = by, by.Owner
				if by.Owner == "" {
					r.Client = "local"
				}
				return c.Ask(t.Context(), r)
			}
			said := func(by infer.By, session string) {
				t.Helper()
				a, err := as(by, session)
				if err != nil {
					t.Fatal(err)
				}
				listen(t, a, 0, 0)
			}
			refused := func(by infer.By) {
				t.Helper()
				_, err := as(by, "s")
				wantCode(t, err, infer.Forbidden, "choose another name")
				_, err = c.Follow(t.Context(), infer.Following{By: by, Session: "s"})
				wantCode(t, err, infer.Forbidden, "")
				_, err = c.Follow(t.Context(), infer.Following{By: by, Session: "s", Look: true})
				wantCode(t, err, infer.Forbidden, "")
				_, err = c.Conversation(by, "s")
				wantCode(t, err, infer.Forbidden, "")
				wantCode(t, c.Forget(by, "s"), infer.Forbidden, "")
			}
			said(laptop, "s")
			refused(phone)
			refused(infer.By{}) // this machine's own are not others'
			said(here, "s")     // which leaves it the laptop's
			refused(phone)
			said(laptop, "s")
			said(here, "h")
			if _, err := as(laptop, "h"); err == nil {
				t.Error("a key asks in a session of this machine")
			}
			if journal {
				stop(t, c)
				c = begins(j.crash(0))
				ready(t, c)
				refused(phone)
				said(laptop, "s")
				if _, err := as(laptop, "h"); err == nil {
					t.Error("after a restart a key asks in a session of this machine")
				}
			}
			for _, s := range sessionsOf(c) {
				if want := map[string]string{"s": "laptop", "h": ""}[s.ID]; s.Owner != want {
					t.Errorf("session %s is of %q", s.ID, s.Owner)
				}
			}
			if err := c.Forget(laptop, "s"); err != nil {
				t.Error(err)
			}
			said(phone, "s") // a new one of that name
			stop(t, c)
		}
	})
}

// What was written down before there were owners is of who asked.
func TestOwnersOfOldSessions(t *testing.T) {
	for _, c := range []struct {
		r    Record
		want string
	}{
		{Record{}, ""}, // skerry run's
		{Record{Request: &infer.Request{Client: "local"}}, ""},
		{Record{Request: &infer.Request{Client: "laptop"}}, "laptop"},
		{Record{Request: &infer.Request{Client: "laptop"}, Owner: thisMachine}, ""}, // by a key of scope admin
		{Record{Request: &infer.Request{Client: "local"}, Owner: "laptop"}, "laptop"},
	} {
		if got := c.r.owner(); got != c.want {
			t.Errorf("%+v is of %q", c.r, got)
		}
	}
}

// To look at an answer that a restart cut neither goes on with it nor loads a model.
func TestLookChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		a := ask(t, c, raw("s", 40))
		listen(t, a, 0, 13)
		left := j.crash(0)
		stop(t, c)

		w := newWorld()
		c = begin(w, left)
		ready(t, c)
		before := left.sessions["s"].record
		n := len(left.sessions["s"].tokens)
		for range 2 {
			b, err := c.Follow(t.Context(), infer.Following{Session: "s", Look: true})
			if err != nil {
				t.Fatal(err)
			}
			h := listen(t, b, 0, 0)
			if h.end.Finish != infer.Failed || h.end.Err == nil || len(h.text) == 0 || len(h.text) >= 40 {
				t.Errorf("%q, then %s %v", h.text, h.end.Finish, h.end.Err)
			}
		}
		if s := sessionsOf(c); s[0].State != cutOff || len(left.sessions["s"].tokens) != n || left.sessions["s"].record.Finish != before.Finish || c.busy != 0 {
			t.Errorf("it was gone on with: %+v", s)
		}
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := c.Follow(t.Context(), infer.Following{Session: "s", Look: true})
		wantCode(t, err, infer.Unavailable, "POST here")
		if w.loads != 1 {
			t.Errorf("the model was loaded %d times", w.loads)
		}
		b, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, b, 0, 0); len(h.text) != 40 {
			t.Errorf("%q", h.text)
		}
		if b, err = c.Follow(t.Context(), infer.Following{Session: "s", Look: true}); err != nil || len(listen(t, b, 0, 0).text) != 40 {
			t.Errorf("%v", err)
		}
		stop(t, c)
	})
}

// opening is a journal that says when it is asked for a session.
type opening struct {
	*notes
	opened func()
}

func (o *opening) Open(session string, create bool) (Log, error) {
	if o.opened != nil {
		o.opened()
	}
	return o.notes.Open(session, create)
}

// Who asks in a session of another's does not keep its owner from it meanwhile.
func TestStrangersClaimNothing(t *testing.T) {
	laptop, phone := infer.By{Owner: "laptop"}, infer.By{Owner: "phone"}
	synctest.Test(t, func(t *testing.T) {
		j := newNotes()
		c := begin(newWorld(), j)
		ready(t, c)
		r := raw("s", 5)
		r.By, r.Client = laptop, "laptop"
		a, err := c.Ask(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		listen(t, a, 0, 0)
		stop(t, c)

		o := &opening{notes: j.crash(0)}
		c = begin(newWorld(), o)
		ready(t, c)
		looks, looking := 0, false
		o.opened = func() {
			if looking {
				return
			}
			looking = true
			defer func() { looking = false }()
			looks++
			if _, err := c.Follow(t.Context(), infer.Following{By: laptop, Session: "s", Look: true}); err != nil {
				t.Errorf("its owner may not look: %v", err)
			}
			if v, err := c.Conversation(laptop, "s"); err != nil || v.Owner != "laptop" {
				t.Errorf("its owner sees %+v, %v", v, err)
			}
		}
		r.By, r.Client = phone, "phone"
		_, err = c.Ask(t.Context(), r)
		wantCode(t, err, infer.Forbidden, "")
		if looks == 0 {
			t.Error("the journal was not asked")
		}
		o.opened = nil
		stop(t, c)
	})
}
