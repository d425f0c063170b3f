package decode

import (
	"slices"
	"testing"

	"skerry/appliance/engine"
)

// The logits of every row of a small batch are those of one row at a time, to the last
// bit: a check of several drafted positions says what decoding one by one would.
func TestRowsOfABatchEqualOneByOne(t *testing.T) {
	r := newRig(t)
	text := r.prompt(t, questions[2])
	whole, vocab := r.whole.Whole, r.vocab.Size()
	forward := func(from, to int) []float32 {
		b := engine.NewBatch(0, from, to-from, engine.WantLogits)
		b.Tokens = text[from:to]
		out, err := whole.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		return out.Logits
	}
	start := len(text) - 8
	prefill := func() {
		if err := whole.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		forward(0, start)
	}
	prefill()
	var single []float32
	for i := start; i < len(text); i++ {
		single = append(single, forward(i, i+1)...)
	}
	for n := 2; n <= 8; n++ {
		prefill()
		all := forward(start, start+n)
		for k := range n {
			if got, want := all[k*vocab:(k+1)*vocab], single[k*vocab:(k+1)*vocab]; !slices.Equal(got, want) {
				most := float32(0)
				for j := range got {
					most = max(most, got[j]-want[j], want[j]-got[j])
				}
				t.Errorf("row %d of %d differs by up to %g (best %d, %d)", k+1, n, most, engine.Best(got), engine.Best(want))
			}
		}
	}
}
