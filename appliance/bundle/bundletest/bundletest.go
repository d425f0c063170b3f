// Package bundletest makes small models for tests, changes them and reads them.
package bundletest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/x448/float16"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

// Synth makes a model file in a directory of its own.
func Synth(t testing.TB, shape, ty string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), shape+".gguf")
	if err := synth.Write(t.Context(), shape, path, synth.Options{Seed: 1, Type: ty}); err != nil {
		t.Fatal(err)
	}
	return path
}

// Open opens a model for the time of a test.
func Open(t testing.TB, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TensorBytes reads a tensor.
func TensorBytes(t testing.TB, f *gguf.File, name string) []byte {
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

// Tree gives the sha256 of every file below dir by name.
func Tree(t testing.TB, dir string) map[string]string {
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

// Edit writes a copy of a model with other metadata or tensors.
func Edit(t testing.TB, src string, change func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out)) string {
	t.Helper()
	f := Open(t, src)
	var outs []gguf.Out
	for _, x := range f.Tensors {
		outs = append(outs, gguf.Out{Name: x.Name, Type: x.Type, Dims: x.Dims, Data: copied(f, x)})
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

// Refused writes a copy of a model that bundle.Check admits and llama.cpp does not load: a
// key that only the latter reads is of the wrong type.
func Refused(t testing.TB, src string) string {
	t.Helper()
	return Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		return Set(kvs, gguf.StringKV("tokenizer.ggml.add_space_prefix", "many")), outs
	})
}

// Set replaces entries of equal key, or appends.
func Set(kvs []gguf.KV, more ...gguf.KV) []gguf.KV {
	for _, kv := range more {
		kvs = append(Without(kvs, kv.Key), kv)
	}
	return kvs
}

// Without leaves entries out.
func Without(kvs []gguf.KV, keys ...string) []gguf.KV {
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

// Zeros writes n zero bytes.
func Zeros(n int64) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return err
	}
}

// Q4_1 are the values of a block in q4_1.
func Q4_1(b []byte) (v [32]float32) {
	d, m := Half(b), Half(b[2:])
	for i := range 16 {
		v[i], v[i+16] = d*float32(b[4+i]&15)+m, d*float32(b[4+i]>>4)+m
	}
	return v
}

// Half is the float16 that b begins with.
func Half(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }

// copied gives the callback that writes a tensor as it is.
func copied(f *gguf.File, x gguf.Tensor) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, f.Data(x))
		return err
	}
}

// Tiny gives for each architecture the shape that tests use.
var Tiny = map[string]string{
	"llama": "tiny", "qwen2": "tiny-qwen2", "qwen3": "tiny-qwen3",
	"gemma3": "tiny-gemma3", "phi3": "tiny-phi3", "smollm3": "tiny-smollm3",
}
