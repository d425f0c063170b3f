package serve

import (
	"slices"
	"testing"

	"skerry/appliance/answer"
	"skerry/appliance/decode"
)

// TestSpareLeansOnTheCloud: of a hot board's answers no exit is computed that the
// cloud can stand in for, and a model that is loaded later has the fewer threads too.
func TestSpareLeansOnTheCloud(t *testing.T) {
	c := &Core{opt: Options{Random: func() uint64 { return 1 }}, news: make(chan struct{}), defaults: decode.Options{Thresholds: []float64{0.9}}}
	threads := 0
	m := &Model{Modes: []decode.Mode{decode.Collaborative, decode.Standalone}, SetThreads: func(n int) { threads = n }}
	thresholds := func() []float64 {
		o, err := c.options(m, answer.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Thresholds
	}
	c.Spare(2, true)
	if got := thresholds(); !slices.Equal(got, []float64{neverReached}) {
		t.Errorf("spared: %v", got)
	}
	c.set("ready", &memory{Model: m}, nil)
	if threads != 2 {
		t.Errorf("loaded with %d threads", threads)
	}
	c.Spare(4, false)
	if got := thresholds(); !slices.Equal(got, []float64{0.9}) || threads != 4 {
		t.Errorf("works fully: %v, %d threads", got, threads)
	}
}
