package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"skerry/appliance/bundle/gguf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testQuantizer stands in for the engine's: it knows q4_1 and q8_0, plainly.
var testQuantizer Quantizer = func(dst, src gguf.Type, cols int, data []byte) ([]byte, error) {
	if src != gguf.Q4_1 || dst != gguf.Q8_0 {
		return nil, fmt.Errorf("no conversion here from %v to %v", src, dst)
	}
	var out []byte
	for b := data; len(b) > 0; b = b[20:] {
		out = append(out, q8(q4(b[:20]))...)
	}
	return out, nil
}

func q4(b []byte) (v [32]float32) {
	d, m := unhalf(binary.LittleEndian.Uint16(b)), unhalf(binary.LittleEndian.Uint16(b[2:]))
	for i := range 16 {
		v[i], v[i+16] = d*float32(b[4+i]&15)+m, d*float32(b[4+i]>>4)+m
	}
	return v
}

func q8(v [32]float32) []byte {
	most := float32(0)
	for _, x := range v {
		most = max(most, float32(math.Abs(float64(x))))
	}
	b := binary.LittleEndian.AppendUint16(nil, half(most/127))
	for _, x := range v {
		b = append(b, byte(int8(math.Round(float64(x/max(most, 1e-20)*127)))))
	}
	return b
}

func unhalf(h uint16) float32 {
	sign, exp, frac := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	if exp == 0 {
		return float32(sign * math.Ldexp(frac, -24))
	}
	return float32(sign * math.Ldexp(1+frac/1024, exp-15))
}

// synth makes a model file in a directory of its own.
func synth(t testing.TB, shape, ty string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), shape+".gguf")
	if err := Synth(t.Context(), shape, path, SynthOptions{Seed: 1, Type: ty}); err != nil {
		t.Fatal(err)
	}
	return path
}

func split(t testing.TB, src, dir string, opt Options) *Manifest {
	t.Helper()
	if opt.Quantizer == nil {
		opt.Quantizer = testQuantizer
	}
	m, err := Split(t.Context(), src, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tensorBytes(t testing.TB, f *gguf.File, name string) []byte {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s has no %s", f.Name, name)
	}
	b, err := io.ReadAll(f.Data(x))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tree gives the sha256 of every file below dir by name.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		sum := sha256.Sum256(b)
		sums[path[len(dir):]] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func parityOK(context.Context, string, *Manifest) (ParityResult, error) {
	return ParityResult{Positions: 64, EqualTokens: 64, Kernels: "test"}, nil
}

// edit writes a copy of a model with other metadata or tensors.
func edit(t testing.TB, src string, change func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out)) string {
	t.Helper()
	f := open(t, src)
	var outs []gguf.Out
	for _, x := range f.Tensors {
		outs = append(outs, gguf.Out{Name: x.Name, Type: x.Type, Dims: x.Dims, Data: copyTensor(f, x)})
	}
	kvs, outs := change(append([]gguf.KV(nil), f.KVs...), outs)
	l, err := gguf.Plan(kvs, outs)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "edited.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// set replaces entries of equal key, or appends.
func set(kvs []gguf.KV, more ...gguf.KV) []gguf.KV {
	for _, kv := range more {
		kvs = append(without(kvs, kv.Key), kv)
	}
	return kvs
}

func without(kvs []gguf.KV, keys ...string) []gguf.KV {
	var out []gguf.KV
	for _, kv := range kvs {
		drop := false
		for _, k := range keys {
			drop = drop || kv.Key == k
		}
		if !drop {
			out = append(out, kv)
		}
	}
	return out
}

// zeroed writes n zero bytes.
type zeroed struct{ n int64 }

func (z *zeroed) write(_ context.Context, w io.Writer) error {
	_, err := w.Write(make([]byte, z.n))
	return err
}
