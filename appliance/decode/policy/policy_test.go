package policy

import (
	"math"
	"strings"
	"testing"
)

func TestConfidence(t *testing.T) {
	first, second := Exit{Index: 0, Threshold: 0.6}, Exit{Index: 1, Threshold: 0.9}
	for _, c := range []struct {
		thresholds []float64
		exit       Exit
		confidence float64
		reachable  bool
		believed   bool
	}{
		{nil, first, 0.6, true, true},
		{nil, second, 0.6, true, false},
		{[]float64{0.7}, first, 0.69, true, false},
		{[]float64{0.7}, second, 0.7, true, true},
		{[]float64{0.2, 2}, first, 0.3, true, true},
		{[]float64{0.2, 2}, second, 1, false, false},
		{[]float64{0}, first, 0, true, true},
	} {
		p, err := New("", c.thresholds)
		if err != nil {
			t.Fatal(err)
		}
		if r, b := p.Reachable(c.exit), p.Believes(c.exit, Output{Confidence: c.confidence}); r != c.reachable || b != c.believed {
			t.Errorf("%v at exit %d of %v: reachable %v, believed %v", c.thresholds, c.exit.Index, c.confidence, r, b)
		}
	}
	for _, bad := range [][]float64{{-1}, {math.NaN()}, {0.1, 0.2, 0.3}} {
		if _, err := New(Confidence, bad); err == nil {
			t.Errorf("thresholds %v are taken", bad)
		}
	}
	if _, err := New("luck", nil); err == nil || !strings.Contains(err.Error(), `"luck" is unknown: choose confidence (`) {
		t.Errorf("an unknown policy: %v", err)
	}
}

// Every rule can be made without thresholds, and says what it does.
func TestRules(t *testing.T) {
	for _, r := range rules {
		if p, err := New(r.Name, nil); p == nil || err != nil || r.Help == "" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
