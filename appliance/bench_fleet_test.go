package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"skerry/cloudlink/fleet/fleetsim"
)

// Without flags skerry bench fleet plays the package's defaults, which the papers quote.
func TestBenchFleetDefaults(t *testing.T) {
	var p program
	k, err := kong.New(&p, modelVars(), groups)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse([]string{"bench", "fleet"}); err != nil {
		t.Fatal(err)
	}
	want := fleetsim.Defaults()
	want.CutFor = p.Bench.Fleet.CutFor
	if got := p.Bench.Fleet.Settings(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	expect(t, 2, "bench", "fleet", "--workers", "2", "--kill", "90%")
	expect(t, 2, "bench", "fleet", "--kill", "120%")
}
