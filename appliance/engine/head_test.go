package engine_test

import (
	"math"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"

	"io"
)

// Our graph over the stage's own weights gives the slice's own logits.
func TestHeadEqualsTheStagesOwn(t *testing.T) {
	b := enginetest.Bundle(t)
	s := enginetest.Open(t, b.Path(bundle.Board1), engine.Options{})
	h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: s, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if s.Position(0) != 0 {
		t.Fatalf("making a head left the stage at position %d", s.Position(0))
	}
	out := feed(t, s, 0, 0, randomTokens(9, s.VocabSize(), 20), nil, 9, engine.WantHidden|engine.WantLogits)
	got, err := h.Logits(out.Hidden)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "nine rows", got, out.Logits)
	one, err := h.Logits(out.Hidden[:s.Width()])
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "one row", one, out.Logits[:s.VocabSize()])
	if h.Bytes() != 0 || h.Size() != s.VocabSize() || h.Tokens() != nil {
		t.Errorf("a shared head keeps %d bytes, gives %d logits", h.Bytes(), h.Size())
	}
	for _, bad := range [][]float32{nil, make([]float32, s.Width()-1)} {
		if _, err := h.Logits(bad); err == nil {
			t.Errorf("%d values: no error", len(bad))
		}
	}
}

// A shortlist gives the same logits for its tokens; the identity translator
// changes nothing but for its float16.
func TestShortlistAndTranslator(t *testing.T) {
	b := enginetest.Bundle(t)
	path := b.Path(bundle.Board1)
	s := enginetest.Open(t, path, engine.Options{})
	short := []int32{7, 49151, 300, 301, 302, 12, 0, 1000}
	id := make([]float32, s.Width()*s.Width())
	for i := range s.Width() {
		id[i*s.Width()+i] = 1
	}
	h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: s, Threads: 1, Shortlist: short, ShortlistRows: lmRows(t, path, short), Translator: id})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	out := feed(t, s, 0, 0, randomTokens(5, s.VocabSize(), 21), nil, 5, engine.WantHidden|engine.WantLogits)
	got, err := h.Logits(out.Hidden)
	if err != nil {
		t.Fatal(err)
	}
	for r := range 5 {
		for i, id := range short {
			want := out.Logits[r*s.VocabSize()+int(id)]
			if d := math.Abs(float64(got[r*len(short)+i] - want)); d > 5e-2 {
				t.Fatalf("row %d token %d: %g against %g", r, id, got[r*len(short)+i], want)
			}
		}
	}
	if h.Bytes() == 0 || h.Size() != len(short) {
		t.Errorf("bytes %d size %d", h.Bytes(), h.Size())
	}
	biased, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: s, Threads: 1, Translator: make([]float32, len(id)), Bias: id[:s.Width()]})
	if err != nil {
		t.Fatal(err)
	}
	defer biased.Close()
	all, err := biased.Logits(out.Hidden)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the bias alone, in every row", all[:s.VocabSize()], all[4*s.VocabSize():])
	if d := engine.Describe(all[:s.VocabSize()]); d.Margin == 0 {
		t.Error("the bias is not added")
	}
	for name, o := range map[string]engine.HeadOptions{
		"bias without translator":  {Norm: s, LM: s, Bias: id[:s.Width()]},
		"bias of wrong size":       {Norm: s, LM: s, Translator: id, Bias: id[:3]},
		"translator of wrong size": {Norm: s, LM: s, Translator: id[1:]},
		"shortlist without rows":   {Norm: s, LM: s, Shortlist: short},
		"rows of wrong size":       {Norm: s, LM: s, Shortlist: short, ShortlistRows: make([]byte, 7)},
		"empty shortlist":          {Norm: s, LM: s, Shortlist: []int32{}, ShortlistRows: []byte{}},
		"widths that differ":       {Norm: s, LM: enginetest.Open(t, enginetest.Tiny(t), engine.Options{})},
	} {
		if h, err := engine.NewHead(o); err == nil {
			h.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// lmRows reads rows of the tied LM head as they lie in the file.
func lmRows(t *testing.T, path string, ids []int32) []byte {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lm, ok := f.Tensor("token_embd.weight")
	if !ok {
		t.Fatal("no token_embd.weight")
	}
	row := lm.Size / lm.Rows()
	var out []byte
	for _, id := range ids {
		b := make([]byte, row)
		if _, err := f.Data(lm).ReadAt(b, int64(id)*row); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// A head may take its norm from one stage and the LM head from another, as exit
// 2 does, and outlives both.
func TestHeadAcrossStages(t *testing.T) {
	b := enginetest.Bundle(t)
	first, err := engine.OpenStage(b.Path(bundle.Board1), engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	second, err := engine.OpenStage(b.Path(bundle.Board2), engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	h, err := engine.NewHead(engine.HeadOptions{Norm: second, LM: first, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	tokens := randomTokens(6, first.VocabSize(), 22)
	h1 := feed(t, first, 0, 0, tokens, nil, 6, engine.WantHidden).Hidden
	h2 := feed(t, second, 0, 0, nil, h1, 6, engine.WantHidden).Hidden
	first.Close()
	second.Close()
	got, err := h.Logits(h2)
	if err != nil {
		t.Fatal(err)
	}
	// The whole model, its graph ended after the same block.
	whole := enginetest.Open(t, b.Path(bundle.Unsplit), engine.Options{Tap: b.Manifest.Exits[1]})
	ref := feed(t, whole, 0, 0, tokens, nil, 6, engine.WantHidden).Hidden
	equal(t, "hidden states after block 20", h2, ref)
	wh, err := engine.NewHead(engine.HeadOptions{Norm: whole, LM: whole, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer wh.Close()
	want, err := wh.Logits(ref)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "logits of exit 2", got, want)
}
