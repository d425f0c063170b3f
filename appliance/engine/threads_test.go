package engine_test

import (
	"slices"
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// TestThreadsChange: the number of threads changes between batches and with it
// nothing that is computed.
func TestThreadsChange(t *testing.T) {
	s := enginetest.Open(t, enginetest.Tiny(t), engine.Options{Context: 64, Threads: 2})
	logits := func() []float32 {
		t.Helper()
		b := engine.NewBatch(0, 0, 8, engine.WantLogits)
		b.Tokens = []int32{1, 2, 3, 4, 5, 6, 7, 8}
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		return out.Logits
	}
	want := logits()
	for _, n := range []int{1, 2, 0, 99} {
		s.SetThreads(n)
		if !slices.Equal(logits(), want) {
			t.Errorf("other logits with %d threads", n)
		}
	}
}
