package bundle

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle/gguf"
)

// someHead is a head for the tiny shape.
func someHead(exit int) *FittedHead {
	h := &FittedHead{Exit: exit, Translator: make([]float32, 64*64), Bias: make([]float32, 64), Shortlist: []int32{3, 7, 500}}
	for i := range h.Translator {
		h.Translator[i] = float32(i%100) / 64 // exact in float16
	}
	h.Bias[5] = 1.0 / 3
	return h
}

func TestHeadSurvivesItsFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	split(t, synth(t, "tiny", "q4_0"), dir, Options{Exits: []int{2, 4}})
	b, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	heads := []Head{{Exit: 2, Threshold: 0.9}, {Exit: 4}}
	if err := b.SetHeads(t.Context(), []*FittedHead{someHead(2)}, heads[:1], &Calibration{}); err == nil {
		t.Error("one head for two exits was taken")
	}
	if err := b.SetHeads(t.Context(), []*FittedHead{someHead(2), someHead(4)}, heads, &Calibration{Seed: 8}); err != nil {
		t.Fatal(err)
	}
	b, err = Open(t.Context(), dir)
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
	lm := open(t, b.Path(Board1))
	if whole := tensorBytes(t, lm, "token_embd.weight"); !bytes.Equal(whole[7*36:8*36], rows[36:72]) {
		t.Error("row 7 is another one in the file")
	}
	// A head of the other exit under this one's name is of another size or sum; a
	// manifest that names it for the wrong exit is found out by its content.
	m := *b.Manifest
	m.Heads = slices.Clone(m.Heads)
	m.Heads[0].File, m.Heads[0].SHA256 = m.Heads[1].File, m.Heads[1].SHA256
	swapped := &Bundle{dir, &m}
	if _, err := swapped.FittedHead(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "head of exit 4") {
		t.Errorf("%v", err)
	}
}

// No bytes of a head's file make the reader panic or take what does not fit.
func FuzzHead(f *testing.F) {
	m := &Manifest{Embedding: 64, Vocab: 512, Source: Source{SHA256: strings.Repeat("a", 64)}}
	dir := f.TempDir()
	var h Head
	if err := someHead(2).write(context.Background(), dir, m.Source.SHA256, &h); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, h.File))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(100), []byte("exit"), uint32(0))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, cut uint32) {
		b := bytes.Clone(whole)
		copy(b[int(at)%len(b):], patch)
		if cut > 0 {
			b = b[:int(cut)%len(b)]
		}
		g, err := gguf.Read(bytes.NewReader(b), int64(len(b)), "fuzz.gguf")
		if err != nil {
			return
		}
		got, err := m.readHead(g)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		if len(got.Translator) != 64*64 || len(got.Bias) != 64 || slices.Max(got.Shortlist) >= 512 || slices.Min(got.Shortlist) < 0 || !finite(got.Translator) {
			t.Fatal("a head that does not fit was taken")
		}
	})
}
