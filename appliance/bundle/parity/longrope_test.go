package parity_test

import (
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// TestLongRopeKeepsItsFactors opens a phi3 with two sets of rope factors in KV
// caches on either side of its original context of 256. llama.cpp chooses by the
// cache, so the source's logits differ; those of a bundle, whose cloud has a
// larger cache than its board, do not.
func TestLongRopeKeepsItsFactors(t *testing.T) {
	src := tiny(t, "tiny-phi3", "q4_0")
	dir := t.TempDir() + "/b"
	m, err := split.Model(t.Context(), src, dir, split.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.ContextLength != 256 {
		t.Errorf("the bundle claims a context of %d", m.ContextLength)
	}
	b := &bundle.Bundle{Dir: dir, Manifest: m}
	tokens := make([]int32, 100)
	for i := range tokens {
		tokens[i] = int32(7 * i % m.Vocab)
	}
	run := func(path string, context int, hidden []float32) engine.Output {
		s := enginetest.Open(t, path, engine.Options{Context: context})
		if n := s.TrainedContext(); path != src && n != 256 {
			t.Errorf("%s claims a context of %d", path, n)
		}
		if hidden != nil {
			return feed(t, s, 0, 0, nil, hidden, 100, engine.WantLogits)
		}
		return feed(t, s, 0, 0, tokens, nil, 100, engine.WantHidden|engine.WantLogits)
	}
	want := run(src, 256, nil).Logits
	if slices.Equal(want, run(src, 512, nil).Logits) {
		t.Error("the source does not choose its factors by context: this test tests nothing")
	}
	for _, context := range []int{256, 512} {
		equal(t, "the whole model's logits", run(b.Path(bundle.Unsplit), context, nil).Logits, want)
		h := run(b.Path(bundle.Board1), 256, nil).Hidden
		equal(t, "the cloud's logits", run(b.Path(bundle.Cloud), context, h).Logits, want)
	}
}
