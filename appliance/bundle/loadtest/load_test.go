package loadtest

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
)

// TestSlicesLoad makes models of each kind Synth knows, splits them with the
// engine's own conversion, and compares the chained stages with the unsplit
// model.
func TestSlicesLoad(t *testing.T) {
	for _, c := range []struct {
		shape, synth, split string
		exits               []int
	}{
		{"tiny", "q4_0", "auto", nil},
		{"tiny", "q4_0", "auto", []int{3}},
		{"tiny", "q4_1", "auto", []int{1, 5}},
		{"tiny", "f32", "q4_0", nil},
		{"tiny", "f16", "keep", nil},
		{"tiny-untied", "q8_0", "auto", nil},
		{"tiny-untied", "q4_1", "keep", []int{2}},
		{"tiny-untied", "f16", "q8_0", nil},
	} {
		t.Run(fmt.Sprint(c.shape, c.synth, c.split, c.exits), func(t *testing.T) {
			src := filepath.Join(t.TempDir(), "m.gguf")
			if err := bundle.Synth(t.Context(), c.shape, src, bundle.SynthOptions{Seed: 3, Type: c.synth}); err != nil {
				t.Fatal(err)
			}
			chain(t, src, bundle.Options{Type: c.split, Exits: c.exits})
		})
	}
}

func TestDefaultModelLoads(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: 93 MB to download")
	}
	src, err := bundle.Fetch(t.Context(), "", bundle.FetchOptions{})
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	for _, ty := range []string{bundle.TypeAuto, bundle.TypeKeep, bundle.TypeQ4_0} {
		t.Run(ty, func(t *testing.T) { chain(t, src, bundle.Options{Type: ty}) })
	}
}

// chain splits src with the comparison as its parity check.
func chain(t *testing.T, src string, opt bundle.Options) {
	t.Helper()
	opt.Quantizer = func(dst, src gguf.Type, cols int, data []byte) ([]byte, error) {
		return engine.Requantize(int32(dst), int32(src), cols, data)
	}
	opt.Parity = func(_ context.Context, dir string, m *bundle.Manifest) (bundle.ParityResult, error) {
		return compare(t, dir, m), nil
	}
	m, err := bundle.Split(t.Context(), src, filepath.Join(t.TempDir(), "b"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("types %v, logits within %g, %s kernels", m.Tensors, m.Parity.MaxAbsDiff, m.Parity.Kernels)
}

func compare(t *testing.T, dir string, m *bundle.Manifest) bundle.ParityResult {
	t.Helper()
	tokens := make([]int32, 32)
	for i := range tokens {
		tokens[i] = int32((i*37 + 5) % m.Vocab)
	}
	whole := run(t, dir, bundle.Unsplit, m.Exits[0], tokens, nil)
	h1 := run(t, dir, bundle.Board1, 0, tokens, nil)
	if d := diff(t, whole.Hidden, h1.Hidden); d > 0 {
		t.Errorf("hidden states after exit 1 differ by %g", d)
	}
	if len(m.Exits) == 2 {
		want := run(t, dir, bundle.Unsplit, m.Exits[1], tokens, nil)
		h2 := run(t, dir, bundle.Board2, 0, nil, h1.Hidden)
		if d := diff(t, want.Hidden, h2.Hidden); d > 0 {
			t.Errorf("hidden states after exit 2 differ by %g", d)
		}
	}
	cloud := run(t, dir, bundle.Cloud, 0, nil, h1.Hidden)
	r := bundle.ParityResult{Positions: len(tokens), MaxAbsDiff: diff(t, whole.Logits, cloud.Logits), Kernels: engine.Init("").Variant}
	last := -1
	varied := false
	for i := range tokens {
		a, b := best(row(whole.Logits, i, m.Vocab)), best(row(cloud.Logits, i, m.Vocab))
		if a == b {
			r.EqualTokens++
		}
		varied = varied || last >= 0 && a != last
		last = a
	}
	if !varied {
		t.Error("every position says the same token")
	}
	return r
}

func row(x []float32, i, n int) []float32 { return x[i*n : (i+1)*n] }

func run(t *testing.T, dir string, r bundle.Role, tap int, tokens []int32, in []float32) engine.Output {
	t.Helper()
	s, err := engine.OpenStage(filepath.Join(dir, r.File()), engine.Options{Context: 64, Rows: 32, Tap: tap, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 32
	b := engine.Batch{Tokens: tokens, Hidden: in, Pos: make([]int32, n), Want: make([]engine.Want, n)}
	for i := range n {
		b.Pos[i], b.Want[i] = int32(i), engine.WantHidden|engine.WantLogits
	}
	if r == bundle.Board2 {
		for i := range n {
			b.Want[i] = engine.WantHidden
		}
	}
	out, err := s.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func diff(t *testing.T, a, b []float32) float64 {
	t.Helper()
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%d values against %d", len(a), len(b))
	}
	most := 0.0
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) || math.IsInf(d, 0) {
			t.Fatalf("value %d is not finite: %g against %g", i, a[i], b[i])
		}
		most = max(most, d)
	}
	return most
}

func best(x []float32) int {
	b := 0
	for i, v := range x {
		if v > x[b] {
			b = i
		}
	}
	return b
}

// TestSynthTokenizes has llama.cpp tokenize any text with a synthetic
// vocabulary and put it together again.
func TestSynthTokenizes(t *testing.T) {
	src := filepath.Join(t.TempDir(), "m.gguf")
	if err := bundle.Synth(t.Context(), "tiny", src, bundle.SynthOptions{}); err != nil {
		t.Fatal(err)
	}
	v, err := engine.OpenVocab(src)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	const text = "naïve \x01 日本語\n🙂 filler300"
	ids, err := v.Tokenize(text, false, false)
	if err != nil {
		t.Fatal(err)
	}
	var back strings.Builder
	for _, id := range ids {
		back.Write(v.Piece(id, false))
	}
	if got := strings.ReplaceAll(strings.TrimPrefix(back.String(), "\u2581"), "\u2581", " "); strings.TrimPrefix(got, " ") != text {
		t.Errorf("%q came back as %q", text, got)
	}
}
