package calibrate

import (
	"slices"
	"testing"

	"skerry/appliance/bundle"
)

func TestShortlistIsAsLargeAsCoverageNeeds(t *testing.T) {
	counts, said := make([]int, 10_000), make([]int, 10_000)
	for i := range 1500 {
		counts[9_999-i] = 10
		said[9_999-i] = 1
	}
	ranked := rank(counts)
	if ranked[0] != 8_500 || ranked[1500] != 0 {
		t.Fatalf("ranked begins %v, goes on %v", ranked[:2], ranked[1500:1502])
	}
	list, coverage := choose(ranked, said, []int32{5_000})
	if len(list) != 2048 || coverage < coverageTarget || !slices.IsSorted(list) || !slices.Contains(list, 5_000) {
		t.Errorf("%d tokens cover %g", len(list), coverage)
	}
	// Said is what the ranking knows nothing of: half the vocabulary has to do.
	clear(said)
	said[7_000], said[0] = 9, 1
	if list, coverage = choose(ranked, said, nil); len(list) != 5_000 || coverage != 0.1 {
		t.Errorf("%d tokens cover %g", len(list), coverage)
	}
	if list, _ = choose(rank(make([]int, 4)), make([]int, 4), []int32{3}); !slices.Contains(list, 3) {
		t.Errorf("%v lacks the end of an answer", list)
	}
}

func TestTallyAndThreshold(t *testing.T) {
	a := newTally()
	for range 100 {
		a.add(0.96, true)
		a.add(0.55, false)
	}
	for range 40 {
		a.add(0.999, true)
	}
	for range 10 {
		a.add(0.96, false)
	}
	m := a.measured()
	find := func(c float64) bundle.HeadMeasured {
		return m[slices.IndexFunc(m, func(s bundle.HeadMeasured) bool { return s.Confidence == c })]
	}
	if s := find(0.95); s.Tokens != 150 || s.Share != 0.6 || s.BinTokens != 110 || s.Agreement != 140./150 || s.BinAgreement != 100./110 {
		t.Errorf("%+v", s)
	}
	if s := find(0); s.Tokens != 250 || s.Share != 1 || s.BinTokens != 0 {
		t.Errorf("%+v", s)
	}
	if got := threshold(m, believed); got != 0.6 {
		t.Errorf("threshold %g", got)
	}
	if got := threshold(newTally().measured(), believed); got != neverEnough {
		t.Errorf("threshold of nothing measured %g", got)
	}
	if a.agreement() != 140./250 {
		t.Errorf("agreement %g", a.agreement())
	}
}
