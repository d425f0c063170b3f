package server

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// An answer that was cut goes on whatever modes the next process has the model loaded for: in its own,
// in one of the same text, or in the usual one. It says so where that is another.
func TestRestartInAnotherMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := undisturbed(t, newWorld(), raw("", 40))
		for _, c := range []struct {
			begun, now []infer.Mode
			want       infer.Mode
		}{
			{nil, []infer.Mode{decode.Unsplit}, decode.Unsplit},
			{nil, []infer.Mode{decode.Collaborative, decode.Verified, decode.Standalone}, decode.Verified},
			{[]infer.Mode{decode.CloudLed, decode.Verified}, []infer.Mode{decode.Unsplit}, decode.Unsplit},
			{nil, []infer.Mode{decode.Collaborative, decode.Standalone}, decode.Collaborative},
			{[]infer.Mode{decode.Collaborative}, []infer.Mode{decode.Unsplit}, decode.Unsplit},
		} {
			w := newWorld()
			w.modes = c.begun
			j := newNotes()
			first := begin(w, j)
			ready(t, first)
			before := listen(t, ask(t, first, raw("s", 40)), 0, 13)
			left := j.crash(0)
			stop(t, first)

			was := w.decodable()[0]
			w = newWorld()
			w.modes = c.now
			next := begin(w, left)
			ready(t, next)
			a, err := next.Follow(t.Context(), infer.Following{Session: "s"})
			if err != nil {
				t.Fatal(err)
			}
			got := listen(t, a, 0, 0)
			p := got.end.Provenance
			if got.text != want || !strings.HasPrefix(want, before.text) || got.end.Finish != infer.Length || p.Mode != c.want {
				t.Errorf("%v after %v: %q in mode %s (%s, %v), want %q in mode %s", c.now, c.begun, got.text, p.Mode, got.end.Finish, got.end.Err, want, c.want)
			}
			says := slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, "it goes on in mode "+string(c.want)) })
			if says != (was != c.want) {
				t.Errorf("%v after %v: notes %q", c.now, c.begun, p.Notes)
			}
			stop(t, next)
		}
	})
}

// Where the mode is left to the daemon, an answer that goes on after a restart asks who is the faster
// as one does that begins.
func TestRestartAsksWhoLeads(t *testing.T) {
	for _, mode := range []infer.Mode{"", decode.Verified} {
		c := New(Options{Loader: newWorld(), Defaults: decode.Options{Mode: infer.Auto}, BoardLeads: func(bundle string) bool { return bundle == "d" }, CloudLeads: func(string) bool { return false }})
		j := &job{task: &task{Request: infer.Request{Options: infer.Options{Mode: mode}}, opt: decode.Options{Mode: decode.Verified}}}
		c.chooseAgain(&Model{Info: infer.Model{Digest: "d"}, Modes: []infer.Mode{decode.Verified}}, j)
		if asks := j.opt.BoardLeads != nil && j.opt.CloudLeads != nil; asks != (mode == "") || asks && !j.opt.BoardLeads() {
			t.Errorf("mode %q: board %v, cloud %v", mode, j.opt.BoardLeads != nil, j.opt.CloudLeads != nil)
		}
		stop(t, c)
	}
}
