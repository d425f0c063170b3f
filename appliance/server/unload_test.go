package server

import (
	"testing"
	"testing/synctest"
	"time"
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
