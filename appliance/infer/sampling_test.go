package infer

import "testing"

func TestLooksBack(t *testing.T) {
	for _, one := range []struct {
		o    Sampling
		want bool
	}{
		{Sampling{}, false},
		{Sampling{Temperature: 1, TopK: 40, TopP: 0.9, EndFrom: 5, Filters: Filters{Typical: 0.5, XTCProbability: 1, Bias: []TokenBias{{ID: 1, Bias: 2}}}}, false},
		{Sampling{Repeat: 1}, false},
		{Sampling{Repeat: 1.1}, true},
		{Sampling{Frequency: 0.5}, true},
		{Sampling{Presence: -0.5}, true},
		{Sampling{Grammar: `root ::= "a"`}, true},
		{Sampling{Filters: Filters{DRYMultiplier: 1, DRYBase: 1.75, DRYLast: -1}}, true},
		{Sampling{Filters: Filters{DRYMultiplier: 1, DRYBase: 1.75}}, false}, // it looks at no token
	} {
		if got := one.o.LooksBack(); got != one.want {
			t.Errorf("%+v looks back: %v", one.o, got)
		}
	}
}
