package engine_test

import (
	"fmt"
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// window is the sliding window of tiny-gemma3, which the tests go far beyond.
const window = 24

// Truncating far behind the sliding window and going on gives what never having
// been further gives.
func TestTruncateBeyondTheWindow(t *testing.T) {
	path := enginetest.Synth(t, "tiny-gemma3")
	tokens := randomTokens(8*window, 512, 40)
	ref := enginetest.Open(t, path, engine.Options{})
	want := feed(t, ref, 0, 0, tokens, nil, 64, engine.WantLogits).Logits
	s := enginetest.Open(t, path, engine.Options{})
	feed(t, s, 0, 0, tokens, nil, 50, 0)
	for _, pos := range []int{7 * window, 4*window + 1, window, 3, 0} {
		feed(t, s, 0, s.Position(0), randomTokens(2*window, 512, uint64(pos)), nil, 9, 0) // a draft
		if err := s.Truncate(0, pos); err != nil {
			t.Fatal(err)
		}
		got := feed(t, s, 0, pos, tokens[pos:], nil, 16, engine.WantLogits).Logits
		equal(t, fmt.Sprintf("logits after truncating to %d", pos), got, want[pos*s.VocabSize():])
	}
}

// Sequences of one stage leave each other's positions alone, also those that a
// sliding window has passed: they are needed again after a truncation.
func TestWindowsOfSeveralSequences(t *testing.T) {
	path := enginetest.Synth(t, "tiny-gemma3")
	const long = 6 * window
	a, b := randomTokens(long, 512, 41), randomTokens(long, 512, 42)
	ref := enginetest.Open(t, path, engine.Options{})
	want := feed(t, ref, 0, 0, b, nil, 64, engine.WantLogits).Logits
	s := enginetest.Open(t, path, engine.Options{Context: 3 * 2 * long, Sequences: 3})
	feed(t, s, 0, 0, a, nil, 64, 0)
	feed(t, s, 1, 0, b, nil, 64, 0)
	// The free room now lies before b's and after them.
	for _, pos := range []int{long - 5, 2 * window, 1} {
		if err := s.Truncate(0, window); err != nil {
			t.Fatal(err)
		}
		feed(t, s, 0, window, append(a[window:], a...), nil, 33, 0)
		if err := s.Truncate(1, pos); err != nil {
			t.Fatal(err)
		}
		got := feed(t, s, 1, pos, b[pos:], nil, 16, engine.WantLogits).Logits
		equal(t, fmt.Sprintf("logits after truncating to %d", pos), got, want[pos*s.VocabSize():])
	}
}

// An imported sequence is kept from the others as one that was computed here.
func TestImportedWindow(t *testing.T) {
	path := enginetest.Synth(t, "tiny-gemma3")
	const long, cut = 6 * window, 3 * window
	a, b := randomTokens(long, 512, 43), randomTokens(long, 512, 44)
	ref := enginetest.Open(t, path, engine.Options{Context: 2 * 2 * long, Sequences: 2})
	want := feed(t, ref, 0, 0, b, nil, 64, engine.WantLogits).Logits
	state, err := ref.Export(0)
	if err != nil {
		t.Fatal(err)
	}
	s := enginetest.Open(t, path, engine.Options{Context: 2 * 2 * long, Sequences: 2})
	feed(t, s, 0, 0, a, nil, 64, 0)
	if err := s.Import(1, state); err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(0, window); err != nil {
		t.Fatal(err)
	}
	feed(t, s, 0, window, append(a[window:], a...), nil, 64, 0)
	if err := s.Truncate(1, cut); err != nil {
		t.Fatal(err)
	}
	got := feed(t, s, 1, cut, b[cut:], nil, 16, engine.WantLogits).Logits
	equal(t, "logits after import and truncation", got, want[cut*s.VocabSize():])
}

// The KV cache takes key and value lengths from where the model has them.
func TestMemoryOfWideHeads(t *testing.T) {
	for shape, elems := range map[string]int64{"tiny": 6 * 2 * 2 * 16, "tiny-qwen3": 6 * 2 * 2 * 32, "tiny-gemma3": 20 * 2 * 1 * 32} {
		s := enginetest.Open(t, enginetest.Synth(t, shape), engine.Options{Context: 256})
		if got, want := s.Memory().KV, 256*elems*2; got != want {
			t.Errorf("%s: KV cache of %d bytes, want %d", shape, got, want)
		}
	}
}
