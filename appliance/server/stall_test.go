package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
)

// An answer that gets no further is seen in the status, and no more once it does.
func TestStalledAnswerShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.pace = 100 * time.Second
		c := begin(w, nil)
		ready(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := c.Ask(ctx, raw("", 9)); err != nil {
			t.Fatal(err)
		}
		stalled := func() float64 {
			synctest.Wait()
			list := sessionsOf(c)
			if len(list) != 1 {
				t.Fatalf("%d sessions", len(list))
			}
			return list[0].StalledS
		}
		for _, want := range []float64{0, 0, 0, 40, 50, 60, 70, 80, 90, 0, 0} {
			time.Sleep(10*time.Second + time.Millisecond)
			if got := stalled(); got < want || got > want+1 {
				t.Errorf("stalled for %.0f s, want %.0f", got, want)
			}
		}
		cancel()
		synctest.Wait()
		if c.Snapshot().Queue.Running != 0 {
			t.Error("cancelled, it is still under way")
		}
		stop(t, c)
	})
}

// A schema that is too costly ends its answer with an error that says whose fault it is.
// In a session it is over for good: following it, also after a restart, does not compute
// it again.
func TestCostlySchemaIsNotBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.broken = fmt.Errorf("unsplit, position 8: %w: the grammar takes too much work here", infer.ErrGrammar)
		kept := newNotes()
		c := begin(w, kept)
		ready(t, c)
		a := ask(t, c, raw("s", 20))
		h := listen(t, a, 0, 0)
		wantCode(t, h.end.Err, infer.BadRequest, "too much work")
		stop(t, c)
		c = begin(w, kept)
		ready(t, c)
		again, err := c.Follow(t.Context(), infer.Following{Session: "s", ID: a.ID()})
		if err != nil {
			t.Fatal(err)
		}
		if h := listen(t, again, 0, 0); h.end.Finish != infer.Failed || h.end.Err == nil || strings.Contains(h.end.Err.Error(), "\n") {
			t.Errorf("followed, it ends %s, %v", h.end.Finish, h.end.Err)
		}
		if w.begun != 1 {
			t.Errorf("it was computed %d times", w.begun)
		}
		stop(t, c)
	})
}
