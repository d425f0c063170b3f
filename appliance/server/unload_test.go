package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// A model that stays for no time at all stays for those who have waited for it.
func TestUnloadedAtOnceStillAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.load = time.Second
		c := begin(w, nil)
		ready(t, c)
		c.Configure(c.opt.Defaults, 1)
		for loads := 2; loads < 12; loads++ {
			time.Sleep(time.Second)
			h := listen(t, ask(t, c, raw("", 5)), 0, 0)
			if len(h.text) != 5 || w.loads != loads {
				t.Errorf("%q after %d loads, want %d", h.text, w.loads, loads)
			}
		}
		stop(t, c)
	})
}

// Who unloads the model does so once: the next one stays as long as configured.
func TestUnloadedOnceIsLoadedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		ready(t, c)
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Hour)
			if h := listen(t, ask(t, c, raw("", 5)), 0, 0); len(h.text) != 5 || w.loads != 2 {
				t.Errorf("%q after %d loads, want 2", h.text, w.loads)
			}
		}
		stop(t, c)
	})
}

// How long another model is to stay, which is not to be had, is nothing to the one that is.
func TestKeepOfAnotherModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		ready(t, c)
		wantCode(t, c.Load(t.Context(), "another", 0), infer.NoModel, "another")
		time.Sleep(time.Hour)
		if s := c.Snapshot().State; s != status.Ready || w.closed != 0 {
			t.Errorf("the model is %s, and was closed %d times", s, w.closed)
		}
		stop(t, c)
	})
}

// A default model that was unloaded, and cannot be loaded as the next request asks for it, is
// tried again like one that was never there.
func TestUnloadedDefaultIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, nil)
		defer stop(t, c)
		ready(t, c)
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.fail = []error{errors.New("the disk hiccups"), errors.New("and again")}
		for range 2 {
			_, err := c.Ask(t.Context(), raw("", 3))
			wantCode(t, err, infer.Unavailable, "the disk hiccups")
		}
		time.Sleep(3*firstRetry + time.Second)
		if h := listen(t, ask(t, c, raw("", 5)), 0, 0); len(h.text) != 5 || w.loads != 4 {
			t.Errorf("%q after %d loads", h.text, w.loads)
		}
	})
}

// Following an answer that there is not loads no model to find that out.
func TestFollowingNothingLoadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, newNotes())
		defer stop(t, c)
		ready(t, c)
		listen(t, ask(t, c, raw("s", 5)), 0, 0)
		if err := c.Load(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for _, f := range []infer.Following{{Session: "none"}, {Session: "none", ID: "a"}, {Session: "none", Look: true}, {Session: "s", ID: "another"}} {
			_, err := c.Follow(t.Context(), f)
			wantCode(t, err, infer.NoSession, "holds no answer")
		}
		if w.loads != 1 {
			t.Errorf("loaded %d times", w.loads)
		}
	})
}
