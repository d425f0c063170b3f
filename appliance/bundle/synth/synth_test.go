package synth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/x448/float16"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

func TestSynthIsSeeded(t *testing.T) {
	a, b := bundletest.Synth(t, "tiny", "q8_0"), bundletest.Synth(t, "tiny", "q8_0")
	if x, y := bundletest.Tree(t, filepath.Dir(a)), bundletest.Tree(t, filepath.Dir(b)); !maps.Equal(x, y) {
		t.Errorf("one seed, two models: %v, %v", x, y)
	}
	c := filepath.Join(t.TempDir(), "c.gguf")
	if err := synth.Write(t.Context(), "tiny", c, synth.Options{Seed: 2, Type: "q8_0"}); err != nil {
		t.Fatal(err)
	}
	const name = "blk.0.ffn_up.weight"
	if string(bundletest.TensorBytes(t, bundletest.Open(t, a), name)) == string(bundletest.TensorBytes(t, bundletest.Open(t, c), name)) {
		t.Error("two seeds, one model")
	}
	if string(bundletest.TensorBytes(t, bundletest.Open(t, a), name)) == string(bundletest.TensorBytes(t, bundletest.Open(t, a), "blk.0.ffn_gate.weight")) {
		t.Error("two tensors are equal")
	}
}

// TestSynthScale measures mean and standard deviation of each type's weights.
func TestSynthScale(t *testing.T) {
	read := map[string]func(b []byte) []float32{
		"f32":  func(b []byte) []float32 { return []float32{math.Float32frombits(binary.LittleEndian.Uint32(b))} },
		"f16":  func(b []byte) []float32 { return []float32{bundletest.Half(b)} },
		"q4_1": func(b []byte) []float32 { v := bundletest.Q4_1(b); return v[:] },
		"q4_0": func(b []byte) []float32 {
			d := b[:2:2]
			m := binary.LittleEndian.AppendUint16(d, float16.Fromfloat32(-8*bundletest.Half(b)).Bits())
			v := bundletest.Q4_1(append(m, b[2:18]...))
			return v[:]
		},
		"q8_0": func(b []byte) (v []float32) {
			for _, x := range b[2:34] {
				v = append(v, bundletest.Half(b)*float32(int8(x)))
			}
			return v
		},
	}
	for ty, values := range read {
		f := bundletest.Open(t, bundletest.Synth(t, "tiny", ty))
		x, _ := f.Tensor("token_embd.weight")
		if x.Type.String() != ty {
			t.Fatalf("%s gave %v", ty, x.Type)
		}
		b := bundletest.TensorBytes(t, f, x.Name)
		var n, sum, squares float64
		for at := 0; at < len(b); at += int(x.Type.BlockBytes()) {
			for _, v := range values(b[at : at+int(x.Type.BlockBytes())]) {
				n, sum, squares = n+1, sum+float64(v), squares+float64(v)*float64(v)
			}
		}
		want := 0.7 / 8
		if std := math.Sqrt(squares / n); n != 512*64 || math.Abs(std-want) > 0.02*want || math.Abs(sum/n) > 0.03*want {
			t.Errorf("%s: %g values of mean %g and deviation %g, want %g", ty, n, sum/n, std, want)
		}
	}
}

func TestSynthRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ shape, ty, want string }{
		{"gpt-5", "", "use one of gemma3-1b, gemma3-270m, llama-3.2-1b"},
		{"tiny", "q3_k", "use q4_0"},
	} {
		err := synth.Write(t.Context(), c.shape, filepath.Join(dir, "x"), synth.Options{Type: c.ty})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.shape, c.ty, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := synth.Write(ctx, "smollm2-135m", filepath.Join(dir, "x"), synth.Options{Progress: func(string, int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

func BenchmarkSynth(b *testing.B) {
	path := filepath.Join(b.TempDir(), "m.gguf")
	for b.Loop() {
		if err := synth.Write(b.Context(), "smollm2-135m", path, synth.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	f, err := gguf.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(f.Size)
}
