package engine_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// Logits of several rows in one batch are those of each row alone, for every number of
// rows that the kernels take together, and for as many as they take in parts.
func TestRowsTogetherAreRowsAlone(t *testing.T) {
	if !exact {
		t.Skip("skipped: kernels of this processor round by the batch")
	}
	for _, ty := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_K, gguf.Q6_K} {
		t.Run(ty.String(), func(t *testing.T) {
			rowsTogether(t, wide(t, ty))
		})
	}
}

func rowsTogether(t *testing.T, path string) {
	const most = 19
	tokens := randomTokens(most, 512, 60)
	one := enginetest.Open(t, path, engine.Options{Context: 64})
	want := feed(t, one, 0, 0, tokens, nil, 1, engine.WantLogits).Logits
	check := func(s *engine.Stage, sizes ...int) {
		t.Helper()
		for _, n := range sizes {
			must(t, s.Truncate(0, 0))
			got := feed(t, s, 0, 0, tokens[:n], nil, n, engine.WantLogits).Logits
			equal(t, fmt.Sprintf("logits of %d rows", n), got, want[:n*s.VocabSize()])
		}
	}
	check(one, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, most)
	check(enginetest.Open(t, path, engine.Options{Context: 64, Threads: 2}), 7)
}

// wide makes a model of random weights whose rows are whole blocks of ty.
func wide(t *testing.T, ty gguf.Type) string {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "f32.gguf"), filepath.Join(dir, "wide.gguf")
	must(t, synth.Write(t.Context(), "tiny-wide", from, synth.Options{Seed: 1, Type: "f32"}))
	f, err := gguf.Open(from)
	must(t, err)
	defer f.Close()
	var outs []gguf.Out
	for _, x := range f.Tensors {
		b, err := io.ReadAll(f.Data(x))
		must(t, err)
		out := gguf.Out{Name: x.Name, Type: x.Type, Dims: x.Dims}
		if len(x.Dims) == 2 {
			out.Type = ty
			b, err = engine.Requantize(int32(ty), int32(x.Type), int(x.Cols()), b)
			must(t, err)
		}
		out.Data = func(_ context.Context, w io.Writer) error { _, err := w.Write(b); return err }
		outs = append(outs, out)
	}
	l, err := gguf.Plan(f.KVs, outs)
	must(t, err)
	w, err := os.Create(to)
	must(t, err)
	defer w.Close()
	must(t, l.Write(t.Context(), w))
	return to
}
