package server

import (
	"errors"
	"testing"
	"testing/synctest"

	"skerry/appliance/infer"
)

// A session whose last answer was given without the draft model says so and why, until one is
// given with it.
func TestSessionSaysThatItHasNoDraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := begin(w, newNotes())
		ready(t, c)
		defer stop(t, c)
		for why, err := range map[string]error{"it proposes nothing": errors.New("it proposes\nnothing"), "": nil} {
			w.draft = err
			h := listen(t, ask(t, c, raw("s", 5)), 0, 0)
			l, lerr := c.List(infer.By{Every: true}, "", 0)
			if lerr != nil || len(l.Sessions) != 1 || l.Sessions[0].NoDraft != why {
				t.Errorf("%+v, want %q (%v)", l.Sessions, why, lerr)
			}
			if notes := len(h.end.Provenance.Notes); notes != len(why)/max(1, len(why)) {
				t.Errorf("%d notes of an answer with %q", notes, why)
			}
		}
	})
}
