package liveness

import (
	"skerry/cloudlink/transport"
	"testing"
	"time"
)

// watched judges for d, on a connection with a round trip of 20 ms whose
// packets come when heard says so, and returns what it did and when.
func watched(v *Silence, d time.Duration, asks bool, heard func(at time.Duration) bool, stall time.Duration) (probes []time.Duration, lost time.Duration) {
	start := time.Unix(1000, 0)
	st := transport.Stats{SmoothedRTT: 20 * time.Millisecond, RTTDeviation: 5 * time.Millisecond}
	v.Begin(start, st)
	for at := Tick; at < d; at += Tick {
		now := start.Add(at)
		if stall > 0 && at == 5*Tick {
			start, stall = start.Add(stall), 0
			now = start.Add(at)
		}
		if heard(at) {
			st.PacketsReceived++
		}
		switch v.Step(now, st, asks) {
		case Probe:
			probes = append(probes, at)
		case Lost:
			return probes, at
		}
	}
	return probes, 0
}

func never(time.Duration) bool { return false }

func TestLivenessEnds(t *testing.T) {
	probes, lost := watched(new(Silence), time.Minute, true, never, 0)
	if len(probes) != 2 || lost < minLost || lost > minLost+2*Tick {
		t.Errorf("probes at %v, lost after %v", probes, lost)
	}
}

// TestLivenessForgivesStalls: a machine that did not run for a while has heard
// nothing, which says nothing about the link.
func TestLivenessForgivesStalls(t *testing.T) {
	probes, lost := watched(new(Silence), time.Minute, true, never, 10*time.Second)
	if len(probes) != 2 || lost < minLost || lost > minLost+4*Tick {
		t.Errorf("probes at %v, lost after %v", probes, lost)
	}
}

// TestLivenessCalms: while only rows wait for receipts, answered probes get rare;
// as soon as somebody asks they are dense again.
func TestLivenessCalms(t *testing.T) {
	v := new(Silence)
	var due []time.Duration
	answer := func(at time.Duration) bool { // a tick after each probe
		ok := len(due) > 0 && due[0] < at
		due = nil
		return ok
	}
	start, n := time.Unix(1000, 0), 0
	st := transport.Stats{SmoothedRTT: 20 * time.Millisecond}
	v.Begin(start, st)
	for at := Tick; at < time.Minute; at += Tick {
		if answer(at) {
			st.PacketsReceived++
		}
		switch v.Step(start.Add(at), st, false) {
		case Probe:
			n++
			due = append(due, at)
		case Lost:
			t.Fatalf("lost after %v", at)
		}
	}
	if n < 4 || n > 15 {
		t.Errorf("%d probes in a minute that only rows wait", n)
	}
	if probes, lost := watched(v, 600*time.Millisecond, true, never, 0); len(probes) != 2 || lost != 0 {
		t.Errorf("once somebody asks: probes at %v, lost after %v", probes, lost)
	}
}
