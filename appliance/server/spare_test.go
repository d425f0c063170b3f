package server

import (
	"log/slog"
	"slices"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// TestSpareLeansOnTheCloud: of a hot board's answers no exit is computed that the
// cloud can stand in for, and a model that is loaded later has the fewer threads too.
func TestSpareLeansOnTheCloud(t *testing.T) {
	c := &Core{opt: Options{Random: func() uint64 { return 1 }, Log: slog.New(slog.DiscardHandler)}, entries: []*entry{{main: true}}, changed: make(chan struct{}), defaults: decode.Options{Thresholds: []float64{0.9}}}
	threads := 0
	m := &Model{Modes: []infer.Mode{decode.Collaborative, decode.Standalone}, SetThreads: func(n int) { threads = n }}
	thresholds := func() []float64 {
		o, _, err := c.options(m, infer.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Thresholds
	}
	c.LimitThreads(2, true)
	if got := thresholds(); !slices.Equal(got, []float64{neverReached}) {
		t.Errorf("spared: %v", got)
	}
	c.put(c.main(), m)
	if threads != 2 {
		t.Errorf("loaded with %d threads", threads)
	}
	c.LimitThreads(4, false)
	if got := thresholds(); !slices.Equal(got, []float64{0.9}) || threads != 4 {
		t.Errorf("works fully: %v, %d threads", got, threads)
	}
}
