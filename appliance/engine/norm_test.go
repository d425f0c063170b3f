package engine_test

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"testing"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// normOf applies a model's output norm, an RMS norm, to rows.
func normOf(t *testing.T, path string, rows []float32, width int) []float32 {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	arch, _ := f.KV("general.architecture")
	name, _ := arch.Text()
	kv, _ := f.KV(name + ".attention.layer_norm_rms_epsilon")
	eps, ok := kv.Float32()
	weight, there := f.Tensor("output_norm.weight")
	if !ok || !there {
		t.Fatal("the model has no RMS norm")
	}
	raw, err := io.ReadAll(f.Data(weight))
	if err != nil || len(raw) != 4*width {
		t.Fatalf("%d bytes of the norm: %v", len(raw), err)
	}
	out := make([]float32, len(rows))
	for i := 0; i < len(rows); i += width {
		squares := 0.0
		for _, v := range rows[i : i+width] {
			squares += float64(v) * float64(v)
		}
		scale := 1 / math.Sqrt(squares/float64(width)+float64(eps))
		for k := range width {
			w := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:]))
			out[i+k] = float32(float64(rows[i+k]) * scale * float64(w))
		}
	}
	return out
}

// WantNorm is the hidden state after the output norm, whatever other rows want.
func TestHiddenStatesAfterTheNorm(t *testing.T) {
	path := enginetest.Tiny(t)
	s := enginetest.Open(t, path, engine.Options{Context: 512})
	tokens := randomTokens(9, s.VocabSize(), 3)
	plain := feed(t, s, 0, 0, tokens, nil, 9, engine.WantHidden).Hidden
	want := normOf(t, path, plain, s.Width())
	if err := s.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	got := feed(t, s, 0, 0, tokens, nil, 4, engine.WantNorm).Hidden
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); d > 1e-3 || d != d {
			t.Fatalf("value %d is %g, want %g", i, got[i], want[i])
		}
	}
	if slices.Equal(got, plain) {
		t.Error("the norm changes nothing")
	}
	if err := s.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	b := engine.NewBatch(0, 0, 4, 0)
	b.Tokens, b.Want = tokens[:4], []engine.Want{engine.WantHidden, engine.WantNorm, 0, engine.WantLogits}
	out, err := s.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	w := s.Width()
	equal(t, "a hidden state beside others", out.Hidden[:w], plain[:w])
	equal(t, "a normed one beside others", out.Hidden[w:], got[w:2*w])
	if len(out.Logits) != s.VocabSize() {
		t.Errorf("%d logits", len(out.Logits))
	}
}

func TestNormCannotBeHad(t *testing.T) {
	path := enginetest.Tiny(t)
	s := enginetest.Open(t, path, engine.Options{Context: 256})
	b := engine.NewBatch(0, 0, 1, engine.WantNorm|engine.WantLogits)
	b.Tokens = []int32{300}
	if _, err := s.Forward(b); err == nil {
		t.Error("beside logits: no error")
	}
	early := enginetest.Open(t, path, engine.Options{Context: 256, Tap: 1})
	b.Want[0] = engine.WantNorm
	if _, err := early.Forward(b); err == nil {
		t.Error("before the last block: no error")
	}
}
