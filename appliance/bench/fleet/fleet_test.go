package fleet

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/fleet/fleetsim"
)

func TestShare(t *testing.T) {
	for text, want := range map[string]Share{"10%": 0.1, "0.25": 0.25, "0": 0, "100%": 1} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "%", "ten", "-1%", "101%", "2", "NaN"} {
		if new(Share).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestTables: what the command prints says who died, who came back and what breaks first.
func TestTables(t *testing.T) {
	s := fleetsim.Defaults()
	s.Workers, s.Boards, s.Kill, s.Cut, s.CutFor, s.For = 5, 500, 0.2, 0.1, 10*time.Second, 4*time.Minute
	r, err := fleetsim.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"seed 1: 500 boards of 5 workers, T 35 ms, m 0.05; after a minute 1 of them die and 10 % of boards have no network for 10 s\n",
		"\nTHE FLEET ", "\nboards had a link again ", " 0 had none at the end; ", "\nWHAT BREAKS FIRST ", "\nclaims a second, of the store ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", 2300 * time.Microsecond: "2.3 ms", 35 * time.Millisecond: "35 ms", 5870 * time.Millisecond: "5.87 s", 195 * time.Second: "3m15s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
