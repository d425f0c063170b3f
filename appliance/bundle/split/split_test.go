package split

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
)

// TestStages checks every tensor of every stage against the source, and that
// the vocabulary's matrices lie where they should and nowhere else.
func TestStages(t *testing.T) {
	for _, shape := range []string{"tiny", "tiny-untied"} {
		t.Run(shape, func(t *testing.T) {
			src := bundletest.Synth(t, shape, "q4_0")
			dir := filepath.Join(t.TempDir(), "b")
			m := split(t, src, dir, Options{Exits: []int{2, 3}, Parity: parityOK})
			source := bundletest.Open(t, src)
			for _, st := range m.Stages {
				if st.Role == bundle.Unsplit {
					continue
				}
				f := bundletest.Open(t, filepath.Join(dir, st.File))
				checkBlocks(t, source, f, st)
				blocks, _ := f.KV("llama.block_count")
				if n, _ := blocks.Uint32(); int(n) != st.To-st.From {
					t.Errorf("%s: block_count %d", st.File, n)
				}
				for _, key := range []string{"llama.rope.freq_base", "llama.context_length", gguf.KeyRole, gguf.KeySource} {
					if _, ok := f.KV(key); !ok {
						t.Errorf("%s lacks %s", st.File, key)
					}
				}
				if !bytes.Equal(bundletest.TensorBytes(t, f, "output_norm.weight"), bundletest.TensorBytes(t, source, "output_norm.weight")) {
					t.Errorf("%s has another output norm", st.File)
				}
			}
			checkVocabulary(t, shape == "tiny", source, dir)
			if err := bundle.Verify(t.Context(), dir); err != nil {
				t.Error(err)
			}
			same(t, src, filepath.Join(dir, "unsplit.gguf"))
		})
	}
}

func checkBlocks(t *testing.T, source, f *gguf.File, st bundle.Stage) {
	t.Helper()
	n := 0
	for _, x := range source.Tensors {
		block, rest, _ := bundle.BlockOf(x.Name)
		if block < st.From || block >= st.To {
			continue
		}
		n++
		name := "blk." + string(rune('0'+block-st.From)) + "." + rest
		if !bytes.Equal(bundletest.TensorBytes(t, source, x.Name), bundletest.TensorBytes(t, f, name)) {
			t.Errorf("%s: %s is not the source's %s", st.File, name, x.Name)
		}
	}
	for _, x := range f.Tensors {
		if block, _, _ := bundle.BlockOf(x.Name); block >= 0 {
			n--
		}
	}
	if n != 0 {
		t.Errorf("%s has %d tensors in blocks too few", st.File, n)
	}
}

func checkVocabulary(t *testing.T, tied bool, source *gguf.File, dir string) {
	t.Helper()
	head := "token_embd.weight"
	if !tied {
		head = "output.weight"
	}
	board1, board2, cloud := bundletest.Open(t, filepath.Join(dir, "board-1.gguf")), bundletest.Open(t, filepath.Join(dir, "board-2.gguf")), bundletest.Open(t, filepath.Join(dir, "cloud.gguf"))
	if !bytes.Equal(bundletest.TensorBytes(t, cloud, "token_embd.weight"), bundletest.TensorBytes(t, source, head)) {
		t.Error("the cloud's matrix is not the LM head")
	}
	if !bytes.Equal(bundletest.TensorBytes(t, board1, "token_embd.weight"), bundletest.TensorBytes(t, source, "token_embd.weight")) ||
		!bytes.Equal(bundletest.TensorBytes(t, board1, head), bundletest.TensorBytes(t, source, head)) {
		t.Error("board-1 has another embedding or LM head")
	}
	for f, want := range map[*gguf.File]bool{board1: !tied, board2: false, cloud: false} {
		if _, ok := f.Tensor("output.weight"); ok != want {
			t.Errorf("%s: output.weight there: %v", f.Name, ok)
		}
	}
	dummy, _ := board2.Tensor("token_embd.weight")
	if !slices.Equal(dummy.Dims, []int64{64, 32}) {
		t.Errorf("board-2's embedding is %v", dummy.Dims)
	}
	for _, kv := range board2.KVs {
		if strings.HasPrefix(kv.Key, "tokenizer.") && kv.Key != gguf.KeyTokenizer {
			t.Errorf("board-2 has %s", kv.Key)
		}
	}
}

func same(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil || !bytes.Equal(x, y) {
		t.Errorf("%s and %s differ (%v)", a, b, err)
	}
}

// TestRope keeps frequency factors in every slice, and writes the default base
// where a source leaves it out.
func TestRope(t *testing.T) {
	src := bundletest.Edit(t, bundletest.Synth(t, "tiny", "q4_0"), func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		freqs := gguf.Out{Name: "rope_freqs.weight", Type: gguf.F32, Dims: []int64{8}, Data: func(_ context.Context, w io.Writer) error {
			return binary.Write(w, binary.LittleEndian, [8]float32{1, 1, 1, 1, 1, 1, 1, 1})
		}}
		return bundletest.Without(kvs, "llama.rope.freq_base"), append(outs, freqs)
	})
	dir := filepath.Join(t.TempDir(), "b")
	for _, st := range split(t, src, dir, Options{}).Stages {
		f := bundletest.Open(t, filepath.Join(dir, st.File))
		if len(bundletest.TensorBytes(t, f, "rope_freqs.weight")) != 32 {
			t.Errorf("%s has other frequency factors", st.File)
		}
		kv, ok := f.KV("llama.rope.freq_base")
		if base, _ := kv.Float32(); st.Role != bundle.Unsplit && (!ok || base != 10000) {
			t.Errorf("%s has frequency base %g", st.File, base)
		}
	}
}

func TestRequantize(t *testing.T) {
	src, dir := bundletest.Synth(t, "tiny", "q4_1"), filepath.Join(t.TempDir(), "b")
	m := split(t, src, dir, Options{})
	if want := map[string]int{"q8_0": 43, "f32": 13}; !maps.Equal(m.Tensors, want) {
		t.Errorf("types %v, want %v", m.Tensors, want)
	}
	if want := map[string]int{"q4_1": 43, "f32": 13}; !maps.Equal(m.Source.Tensors, want) {
		t.Errorf("source types %v, want %v", m.Source.Tensors, want)
	}
	// Slices and unsplit are converted alike.
	whole, cloud := bundletest.Open(t, filepath.Join(dir, "unsplit.gguf")), bundletest.Open(t, filepath.Join(dir, "cloud.gguf"))
	if !bytes.Equal(bundletest.TensorBytes(t, whole, "blk.5.ffn_up.weight"), bundletest.TensorBytes(t, cloud, "blk.3.ffn_up.weight")) {
		t.Error("the cloud's weights are not the unsplit model's")
	}
	source := bundletest.Open(t, src)
	for i, x := range bundletest.Q4_1(bundletest.TensorBytes(t, source, "blk.5.ffn_up.weight")[:20]) {
		b := bundletest.TensorBytes(t, whole, "blk.5.ffn_up.weight")
		y := bundletest.Half(b) * float32(int8(b[2+i]))
		if d := x - y; d > 0.002 || d < -0.002 {
			t.Fatalf("weight %d: %g became %g", i, x, y)
		}
	}
	if m := split(t, src, filepath.Join(t.TempDir(), "keep"), Options{Type: TypeKeep}); !maps.Equal(m.Tensors, m.Source.Tensors) {
		t.Errorf("keep gave %v", m.Tensors)
	}
	if _, err := Model(t.Context(), src, filepath.Join(t.TempDir(), "b"), Options{}); err == nil || !strings.Contains(err.Error(), "--type keep") {
		t.Errorf("without a quantizer: %v", err)
	}
	broken := func(gguf.Type, gguf.Type, int, []byte) ([]byte, error) { return []byte{1}, nil }
	if _, err := Model(t.Context(), src, filepath.Join(t.TempDir(), "b"), Options{Quantizer: broken}); err == nil {
		t.Error("took what a broken quantizer gave")
	}
}

func TestDeterministic(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_1")
	var first map[string]string
	var id [32]byte
	for i := range 2 {
		dir := filepath.Join(t.TempDir(), "bundle")
		m := split(t, src, dir, Options{Parity: parityOK})
		if i == 0 {
			first, id = bundletest.Tree(t, dir), m.ID()
			continue
		}
		if got := bundletest.Tree(t, dir); !maps.Equal(got, first) {
			t.Errorf("second split differs: %v, %v", got, first)
		}
		if m.ID() != id {
			t.Error("second split has another id")
		}
	}
	bare := split(t, src, filepath.Join(t.TempDir(), "x"), Options{NoUnsplit: true, Parity: parityOK})
	if bare.ID() != id {
		t.Error("leaving out the unsplit model changed the id")
	}
	if _, ok := bare.Stage(bundle.Unsplit); ok || bare.WholeBytes == 0 {
		t.Error("NoUnsplit kept the unsplit model or forgot its size")
	}
	if other := split(t, src, filepath.Join(t.TempDir(), "y"), Options{Exits: []int{1, 4}}); other.ID() == id {
		t.Error("other exits have the same id")
	}
}

func TestExits(t *testing.T) {
	alike := func(n int) *bundle.Model { return &bundle.Model{Blocks: n, Period: 1} }
	if got := alike(30).DefaultExits(); !slices.Equal(got, []int{10, 20}) {
		t.Errorf("exits of 30 blocks: %v", got)
	}
	for n := 2; n <= 512; n++ {
		if err := bundle.CheckExits(alike(n).DefaultExits(), n); err != nil {
			t.Errorf("%d blocks: %v", n, err)
		}
	}
	src := bundletest.Synth(t, "tiny", "q4_0")
	for name, c := range map[string]struct {
		exits []int
		want  string
	}{
		"zero":   {[]int{0, 3}, "exit 0 is out of range: give exits from 1 to 5"},
		"end":    {[]int{2, 6}, "exit 6 is out of range"},
		"order":  {[]int{4, 2}, "exits 4,2 do not ascend"},
		"equal":  {[]int{2, 2}, "exits 2,2 do not ascend"},
		"three":  {[]int{1, 2, 3}, "3 exits, one or two are possible"},
		"beyond": {[]int{-1}, "exit -1 is out of range"},
	} {
		dir := filepath.Join(t.TempDir(), "b")
		_, err := Model(t.Context(), src, dir, Options{Exits: c.exits})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if left := bundletest.Tree(t, filepath.Dir(dir)); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
	m := split(t, src, filepath.Join(t.TempDir(), "one"), Options{Exits: []int{3}})
	if _, ok := m.Stage(bundle.Board2); ok || len(m.Stages) != 3 {
		t.Errorf("one exit gave %v", m.Stages)
	}
}

func TestParityDecides(t *testing.T) {
	src, dir := bundletest.Synth(t, "tiny", "q4_0"), filepath.Join(t.TempDir(), "b")
	split(t, src, dir, Options{})
	before := bundletest.Tree(t, filepath.Dir(dir))
	for name, parity := range map[string]func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error){
		"error": func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
			return bundle.ParityResult{}, ErrParity
		},
		"other tokens": func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
			return bundle.ParityResult{Positions: 64, EqualTokens: 63}, nil
		},
		"nothing": func(context.Context, string, *bundle.Manifest) (bundle.ParityResult, error) {
			return bundle.ParityResult{}, nil
		},
	} {
		if _, err := Model(t.Context(), src, dir, Options{Exits: []int{1}, Parity: parity}); !errors.Is(err, ErrParity) {
			t.Errorf("%s: %v", name, err)
		}
		if after := bundletest.Tree(t, filepath.Dir(dir)); !maps.Equal(before, after) {
			t.Errorf("%s: the bundle before is not as it was: %v", name, after)
		}
	}
	m := split(t, src, dir, Options{Exits: []int{1}, Parity: func(ctx context.Context, dir string, _ *bundle.Manifest) (bundle.ParityResult, error) {
		if _, err := bundle.Open(ctx, dir); err != nil {
			t.Errorf("the check was given no bundle: %v", err)
		}
		return bundle.ParityResult{Positions: 64, EqualTokens: 64, Kernels: "k"}, nil
	}})
	if got, err := bundle.ReadManifest(dir); err != nil || got.Parity == nil || got.Parity.Kernels != "k" || got.ID() != m.ID() {
		t.Errorf("manifest %+v, %v", got, err)
	}
}
