package parity_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

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
			if err := synth.Write(t.Context(), c.shape, src, synth.Options{Seed: 3, Type: c.synth}); err != nil {
				t.Fatal(err)
			}
			check(t, src, split.Options{Type: c.split, Exits: c.exits})
		})
	}
}

func TestDefaultModelLoads(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: 93 MB to download")
	}
	src, err := fetch.Model(t.Context(), "", fetch.Options{})
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	for _, ty := range []string{split.TypeAuto, split.TypeKeep, split.TypeQ4_0} {
		t.Run(ty, func(t *testing.T) { check(t, src, split.Options{Type: ty}) })
	}
}

// check splits src with the comparison as its parity check.
func check(t *testing.T, src string, opt split.Options) {
	t.Helper()
	opt.Quantizer, opt.Parity = parity.Quantize, parity.Check
	m, err := split.Model(t.Context(), src, filepath.Join(t.TempDir(), "b"), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("types %v, logits within %g, %s kernels", m.Tensors, m.Parity.MaxAbsDiff, m.Parity.Kernels)
	if runtime.GOARCH == "amd64" && m.Parity.MaxAbsDiff != 0 {
		t.Errorf("logits differ by %g", m.Parity.MaxAbsDiff)
	}
}

// A stage that computes something else fails the split.
func TestParityNotices(t *testing.T) {
	src := filepath.Join(t.TempDir(), "m.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 3}); err != nil {
		t.Fatal(err)
	}
	for _, role := range []bundle.Role{bundle.Board1, bundle.Board2, bundle.Cloud} {
		opt := split.Options{Quantizer: parity.Quantize, Parity: func(ctx context.Context, dir string, m *bundle.Manifest) (bundle.ParityResult, error) {
			spoil(t, filepath.Join(dir, role.File()))
			return parity.Check(ctx, dir, m)
		}}
		if _, err := split.Model(t.Context(), src, filepath.Join(t.TempDir(), "b"), opt); !errors.Is(err, split.ErrParity) {
			t.Errorf("%s spoiled: %v", role, err)
		}
	}
}

// spoil zeroes a matrix of the slice's first block.
func spoil(t *testing.T, path string) {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, ok := f.Tensor("blk.0.ffn_down.weight")
	if !ok {
		t.Fatal("no such tensor")
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt(make([]byte, m.Size), m.Offset); err != nil {
		t.Fatal(err)
	}
}

// TestSynthTokenizes has llama.cpp tokenize any text with a synthetic
// vocabulary and put it together again.
func TestSynthTokenizes(t *testing.T) {
	src := filepath.Join(t.TempDir(), "m.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{}); err != nil {
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
