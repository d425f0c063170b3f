package fleet_test

import (
	"bytes"
	"testing"

	"skerry/cloudlink/fleet/fleettest"
)

// What a worker tells is there for the others until it tells something else, or leaves.
func TestTold(t *testing.T) {
	e := fleettest.New(t)
	a, _ := join(t, e, "a:1")
	b, _ := join(t, e, "b:1")
	for _, what := range []string{"one", "two"} {
		if err := a.Tell(t.Context(), []byte(what)); err != nil {
			t.Fatal(err)
		}
		if told, err := b.Told(t.Context()); err != nil || len(told) != 1 || string(told["a:1"]) != what {
			t.Errorf("%q, %v", told, err)
		}
	}
	if a.Tell(t.Context(), bytes.Repeat([]byte("x"), 1<<20)) == nil {
		t.Error("a megabyte is told")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if told, err := b.Told(t.Context()); err != nil || len(told) != 0 {
		t.Errorf("%q, %v, after it has left", told, err)
	}
}
