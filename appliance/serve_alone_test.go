package main

import (
	"testing"

	"skerry/appliance/decode"
)

// A mode that asks a cloud, and none there: the daemon starts all the same, and
// answers alone, with the whole model.
func TestServeCollaborativeWithoutACloud(t *testing.T) {
	s := startServing(t, tinyBundle(t), t.TempDir(), "--mode", "collaborative")
	awaitReady(t, s.socket)
	q := newQuestion("", 5)
	s.ask(t, q, 0)
	if q.truth.Mode != decode.Unsplit || q.truth.Asks != 0 {
		t.Errorf("%+v", q.truth)
	}
}
