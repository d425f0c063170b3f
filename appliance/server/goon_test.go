package server

import (
	"slices"
	"testing"
	"testing/synctest"

	"skerry/appliance/infer"
)

// after is a question of a session that follows on so many of its messages.
func after(session, question string, n int) infer.Request {
	r := raw(session, 3)
	r.Raw, r.Prompt, r.After = false, "", &n
	r.Messages = []infer.Message{{Role: "user", Content: question}}
	return r
}

func contents(t *testing.T, c *Core, session string) (said []string) {
	t.Helper()
	v, err := c.Conversation(infer.By{}, session)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range v.Messages {
		if m.Role == "user" {
			said = append(said, m.Content)
		} else {
			said = append(said, m.Role)
		}
	}
	return said
}

// A follow-up sends what is new; a question that is edited drops what came after it.
func TestFollowUpsSendWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), newNotes())
		ready(t, c)
		want := func(words ...string) {
			t.Helper()
			if got := contents(t, c, "s"); !slices.Equal(got, words) {
				t.Errorf("the session holds %q, not %q", got, words)
			}
		}
		for _, q := range []string{"one", "two"} {
			listen(t, ask(t, c, after("s", q, -1)), 0, 0)
		}
		want("one", "assistant", "two", "assistant")
		listen(t, ask(t, c, after("s", "other", 2)), 0, 0)
		want("one", "assistant", "other", "assistant")
		_, err := c.Ask(t.Context(), after("s", "x", 5))
		wantCode(t, err, infer.BadRequest, "has 4 messages")
		_, err = c.Ask(t.Context(), after("", "x", -1))
		wantCode(t, err, infer.BadRequest, "needs its session")
		bare := after("s", "x", -1)
		bare.Raw = true
		_, err = c.Ask(t.Context(), bare)
		wantCode(t, err, infer.BadRequest, "raw prompt")
		stranger := after("s", "x", -1)
		stranger.By.Owner = "guest"
		_, err = c.Ask(t.Context(), stranger)
		wantCode(t, err, infer.Forbidden, "another key's")
		want("one", "assistant", "other", "assistant")
		long := after("s", "long", -1)
		long.MaxTokens = 50
		a := ask(t, c, long)
		_, err = c.Ask(t.Context(), after("s", "x", -1))
		wantCode(t, err, infer.Conflict, "being answered")
		listen(t, a, 0, 0)
		want("one", "assistant", "other", "assistant", "long", "assistant")
		stop(t, c)
	})
}

// Of two requests that follow on one answer the second is refused, once the first has begun.
func TestOneFollowsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), newNotes())
		ready(t, c)
		first := ask(t, c, raw("s", 3))
		listen(t, first, 0, 0)
		r := raw("s", 3)
		r.Follows = first.ID()
		listen(t, ask(t, c, r), 0, 0)
		_, err := c.Ask(t.Context(), r)
		wantCode(t, err, infer.Conflict, "something else meanwhile")
		stop(t, c)
	})
}
