package decode

import (
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// Texts about the same are nearer one another than texts about different things.
func TestSimilarTextsAreNearer(t *testing.T) {
	stage := enginetest.Open(t, enginetest.Bundle(t).Path(bundle.Unsplit), engine.Options{Context: 256})
	vocab := stage.Vocab()
	defer vocab.Close()
	s := NewSession(Model{Whole: stage, Vocab: vocab, Context: 256}, 0, nil)
	vector := func(text string) []float32 {
		ids, err := vocab.Tokenize(text, true, false)
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Embed(t.Context(), ids, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	like := func(a, b []float32) (cos float64) {
		for i := range a {
			cos += float64(a[i]) * float64(b[i])
		}
		return cos
	}
	for _, c := range [][3]string{
		{"The lighthouse warns ships at night.", "A lighthouse guides boats in the dark.", "Add two eggs and a cup of sugar to the dough."},
		{"How do I reverse a list in Python?", "What is the way to turn a Python list around?", "The king was crowned in the old cathedral."},
		{"The stock market fell sharply on Monday.", "Share prices dropped a lot at the start of the week.", "My cat likes to sleep on the warm window sill."},
	} {
		a, b, other := vector(c[0]), vector(c[1]), vector(c[2])
		if near, far := like(a, b), like(a, other); near <= far {
			t.Errorf("%q is at %.4f to %q, and at %.4f to %q", c[0], near, c[1], far, c[2])
		}
		if one := like(a, a); one < 0.9999 || one > 1.0001 {
			t.Errorf("the vector's length is %g", one)
		}
	}
}
