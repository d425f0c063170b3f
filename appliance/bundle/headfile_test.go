package bundle_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/heads"
	"skerry/appliance/bundle/split"
)

// someHead is a head for the tiny shape.
func someHead(exit int) *heads.Fitted {
	h := &heads.Fitted{Exit: exit, Translator: make([]float32, 64*64), Bias: make([]float32, 64), Shortlist: []int32{3, 7, 500}}
	for i := range h.Translator {
		h.Translator[i] = float32(i%100) / 64 // exact in float16
	}
	h.Bias[5] = 1.0 / 3
	return h
}

func TestHeadSurvivesItsFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	splitInto(t, bundletest.Synth(t, "tiny", "q4_0"), dir, split.Options{Exits: []int{2, 4}})
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	entries := []bundle.Head{{Exit: 2, Threshold: 0.9}, {Exit: 4}}
	if err := b.SetHeads(t.Context(), []*heads.Fitted{someHead(2)}, entries[:1], &bundle.Calibration{}); err == nil {
		t.Error("one head for two exits was taken")
	}
	if err := b.SetHeads(t.Context(), []*heads.Fitted{someHead(2), someHead(4)}, entries, &bundle.Calibration{Seed: 8}); err != nil {
		t.Fatal(err)
	}
	b, err = bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.FittedHead(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	want := someHead(4)
	if !slices.Equal(got.Translator, want.Translator) || !slices.Equal(got.Bias, want.Bias) || !slices.Equal(got.Shortlist, want.Shortlist) {
		t.Error("another head came back")
	}
	rows, ty, err := b.LMRows(got.Shortlist)
	if err != nil || ty != gguf.Q4_0 || len(rows) != 3*64/32*18 {
		t.Fatalf("%d bytes of %v: %v", len(rows), ty, err)
	}
	lm := bundletest.Open(t, b.Path(bundle.Board1))
	if whole := bundletest.TensorBytes(t, lm, "token_embd.weight"); !bytes.Equal(whole[7*36:8*36], rows[36:72]) {
		t.Error("row 7 is another one in the file")
	}
	// A head of the other exit under this one's name is of another size or sum; a
	// manifest that names it for the wrong exit is found out by its content.
	m := *b.Manifest
	m.Heads = slices.Clone(m.Heads)
	m.Heads[0].File, m.Heads[0].SHA256 = m.Heads[1].File, m.Heads[1].SHA256
	swapped := &bundle.Bundle{dir, &m}
	if _, err := swapped.FittedHead(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "head of exit 4") {
		t.Errorf("%v", err)
	}
}
