package decode

import (
	"slices"
	"testing"

	"skerry/appliance/infer"
)

// An answer that goes on after what an earlier process said of it is the answer
// that was never cut, sampled with penalties too.
func TestSaidGoesOn(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, "Name three birds.")
	o := Options{Mode: Unsplit, OnLoss: infer.GoAlone, MaxTokens: 24, IgnoreEnd: true,
		Sampling: infer.Sampling{Seed: 3, Temperature: 0.9, TopK: 40, Repeat: 1.3}}
	want := r.unsplit(t, prompt, o)
	for _, cut := range []int{1, 9, 23} {
		rest := o
		rest.Said = ids(want)[:cut]
		got := r.unsplit(t, prompt, rest)
		if !slices.Equal(ids(got), ids(want)[cut:]) {
			t.Errorf("after %d tokens: %v, uncut %v", cut, ids(got), ids(want)[cut:])
		}
		said := Result{Tokens: want.Tokens[:cut]}
		if text := said.text() + got.Text; text != want.Text {
			t.Errorf("after %d tokens: %q, uncut %q", cut, text, want.Text)
		}
	}
	o.Said = ids(want)
	if _, err := NewSession(r.whole, 0, nil).Generate(t.Context(), prompt, o, nil); err == nil {
		t.Error("an answer that has all its tokens goes on")
	}
}

func (a Result) text() (s string) {
	for _, t := range a.Tokens {
		s += t.Text
	}
	return s
}
