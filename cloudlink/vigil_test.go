package cloudlink

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

// watched runs a vigil for d, on a connection with a round trip of 20 ms whose
// packets come when heard says so, and returns what it did and when.
func watched(v *vigil, d time.Duration, asks bool, heard func(at time.Duration) bool, stall time.Duration) (probes []time.Duration, lost time.Duration) {
	start := time.Unix(1000, 0)
	st := Stats{SmoothedRTT: 20 * time.Millisecond, RTTDeviation: 5 * time.Millisecond}
	v.begin(start, st)
	for at := vigilTick; at < d; at += vigilTick {
		now := start.Add(at)
		if stall > 0 && at == 5*vigilTick {
			start, stall = start.Add(stall), 0
			now = start.Add(at)
		}
		if heard(at) {
			st.PacketsReceived++
		}
		switch v.step(now, st, asks) {
		case vigilProbe:
			probes = append(probes, at)
		case vigilLost:
			return probes, at
		}
	}
	return probes, 0
}

func never(time.Duration) bool { return false }

func TestVigilEnds(t *testing.T) {
	probes, lost := watched(new(vigil), time.Minute, true, never, 0)
	if len(probes) != 2 || lost < minLost || lost > minLost+2*vigilTick {
		t.Errorf("probes at %v, lost after %v", probes, lost)
	}
}

// TestVigilForgivesStalls: a machine that did not run for a while has heard
// nothing, which says nothing about the link.
func TestVigilForgivesStalls(t *testing.T) {
	probes, lost := watched(new(vigil), time.Minute, true, never, 10*time.Second)
	if len(probes) != 2 || lost < minLost || lost > minLost+4*vigilTick {
		t.Errorf("probes at %v, lost after %v", probes, lost)
	}
}

// TestVigilCalms: while only rows wait for receipts, answered probes get rare;
// as soon as somebody asks they are dense again.
func TestVigilCalms(t *testing.T) {
	v := new(vigil)
	var due []time.Duration
	answer := func(at time.Duration) bool { // a tick after each probe
		ok := len(due) > 0 && due[0] < at
		due = nil
		return ok
	}
	start, n := time.Unix(1000, 0), 0
	st := Stats{SmoothedRTT: 20 * time.Millisecond}
	v.begin(start, st)
	for at := vigilTick; at < time.Minute; at += vigilTick {
		if answer(at) {
			st.PacketsReceived++
		}
		switch v.step(start.Add(at), st, false) {
		case vigilProbe:
			n++
			due = append(due, at)
		case vigilLost:
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

// TestBackoff doubles up to its bound, spread over half of each pause.
func TestBackoff(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		b := backoff{random: func() float64 { return random }, most: lastPause}
		for want := firstPause; ; want *= 2 {
			want = min(want, lastPause)
			got := b.failed(false)
			if d := (got - want/2 - time.Duration(random*float64(want/2))).Abs(); d > time.Millisecond {
				t.Errorf("random %v: pause %v of %v", random, got, want)
			}
			if want == lastPause {
				break
			}
		}
		if got := b.failed(true); got < refusedPause/2 {
			t.Errorf("refused: %v", got)
		}
		b.reset()
		if got := b.failed(false); got > firstPause {
			t.Errorf("after a success: %v", got)
		}
	}
}

// FuzzSignals feeds the signal stream of a TCP connection.
func FuzzSignals(f *testing.F) {
	var all []byte
	for _, s := range []signal{{signalFin, 3, 0}, {signalReset, 5, 1}, {signalStop, 7, 4}} {
		all = s.append(all)
		f.Add(s.append(nil))
	}
	f.Add(append(signal{signalBye, 3, 2}.append(nil), "bye"...))
	f.Add(append(all, signal{signalBye, 1 << 20, 2}.append(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &muxConn{ends: map[uint32]*muxEnds{}, client: len(b)%2 == 0}
		r := bytes.NewReader(b)
		for {
			at := len(b) - r.Len()
			s, reason, err := readSignal(r)
			if err != nil {
				return
			}
			if again := append(s.append(nil), reason...); !bytes.Equal(again, b[at:len(b)-r.Len()]) {
				t.Fatalf("%s became %s", hex.EncodeToString(b[at:]), hex.EncodeToString(again))
			}
			if s.kind != signalBye && c.heed(s) != nil {
				return
			}
			if len(c.ends) > 2*muxStreams+1 {
				t.Fatalf("%d streams remembered", len(c.ends))
			}
		}
	})
}
