package gguf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

func fill(b []byte) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error { _, err := w.Write(b); return err }
}

func encode(t testing.TB, kvs []KV, tensors []Out) []byte {
	t.Helper()
	l, err := Plan(kvs, tensors)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := l.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != l.Size() {
		t.Fatalf("wrote %d bytes, planned %d", b.Len(), l.Size())
	}
	return b.Bytes()
}

func decode(b []byte) (*File, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "x.gguf")
}

func sample(t testing.TB) []byte {
	return encode(t, []KV{
		StringKV("general.architecture", "llama"),
		Uint32KV("llama.block_count", 2),
		Float32KV("llama.rope.freq_base", 10000),
		BoolKV("tokenizer.ggml.add_bos_token", true),
		StringsKV("tokenizer.ggml.tokens", []string{"a", "", "ccc"}),
		Float32sKV("tokenizer.ggml.scores", []float32{0, -1, 2}),
		Int32sKV("tokenizer.ggml.token_type", []int32{1, 1, 3}),
	}, []Out{
		{"token_embd.weight", F32, []int64{4, 3}, fill(bytes.Repeat([]byte{7}, 48))},
		{"blk.0.ffn_up.weight", Q4_0, []int64{32, 2}, fill(bytes.Repeat([]byte{9}, 36))},
	})
}

func TestRoundTrip(t *testing.T) {
	b := sample(t)
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kv, _ := f.KV("tokenizer.ggml.tokens")
	var got []string
	for _, s := range kv.Strings() {
		got = append(got, string(s))
	}
	if strings.Join(got, "|") != "a||ccc" {
		t.Errorf("tokens %q", got)
	}
	up, ok := f.Tensor("blk.0.ffn_up.weight")
	if !ok || up.Rows() != 2 || up.Cols() != 32 || up.Offset%32 != 0 {
		t.Errorf("tensor %+v", up)
	}
	data, err := io.ReadAll(f.Data(up))
	if err != nil || !bytes.Equal(data, bytes.Repeat([]byte{9}, 36)) {
		t.Errorf("data %v %v", data, err)
	}
	var outs []Out
	for _, x := range f.Tensors {
		outs = append(outs, Out{x.Name, x.Type, x.Dims, func(_ context.Context, w io.Writer) error {
			_, err := io.Copy(w, f.Data(x))
			return err
		}})
	}
	if again := encode(t, f.KVs, outs); !bytes.Equal(again, b) {
		t.Error("reading and writing changed the file")
	}
}

func TestRoundTripOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{1,3}(\.[a-z_]{1,8}){0,3}`)
		keys := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "keys")
		var kvs []KV
		for _, k := range keys {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				kvs = append(kvs, StringKV(k, rapid.String().Draw(t, "s")))
			case 1:
				kvs = append(kvs, Uint64KV(k, rapid.Uint64().Draw(t, "u")))
			case 2:
				kvs = append(kvs, StringsKV(k, rapid.SliceOf(rapid.String()).Draw(t, "ss")))
			case 3:
				kvs = append(kvs, Float32sKV(k, rapid.SliceOf(rapid.Float32()).Draw(t, "fs")))
			case 4:
				kvs = append(kvs, BoolKV(k, rapid.Bool().Draw(t, "b")))
			}
		}
		var outs []Out
		var want [][]byte
		for _, n := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID[string]).Draw(t, "names") {
			ty := rapid.SampledFrom([]Type{F32, F16, Q4_0, Q8_0, Q6_K}).Draw(t, "type")
			dims := []int64{ty.Block() * rapid.Int64Range(1, 3).Draw(t, "blocks"), rapid.Int64Range(1, 4).Draw(t, "rows")}
			size, err := ty.Size(dims)
			if err != nil {
				t.Fatal(err)
			}
			data := rapid.SliceOfN(rapid.Byte(), int(size), int(size)).Draw(t, "data")
			want = append(want, data)
			outs = append(outs, Out{n, ty, dims, fill(data)})
		}
		l, err := Plan(kvs, outs)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := l.Write(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		f, err := decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range f.Tensors {
			if got, err := io.ReadAll(f.Data(x)); err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("tensor %s came back different (%v)", x.Name, err)
			}
		}
		if l, err = Plan(f.KVs, nil); err != nil {
			t.Fatal(err)
		}
		again, err := Plan(kvs, nil)
		if err != nil || !bytes.Equal(l.head, again.head) {
			t.Fatalf("metadata came back different (%v)", err)
		}
	})
}

// TestHostile changes one thing in a good file and expects one line that says
// what is wrong.
func TestHostile(t *testing.T) {
	good := sample(t)
	at := func(mark string) int {
		i := bytes.Index(good, []byte(mark))
		if i < 0 {
			t.Fatalf("no %q", mark)
		}
		return i + len(mark)
	}
	put64 := func(off int, v uint64) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
	}
	put32 := func(off int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[off:], v) }
	}
	embd, up := at("token_embd.weight"), at("blk.0.ffn_up.weight")
	for name, c := range map[string]struct {
		do   func([]byte)
		want string
	}{
		"magic":             {func(b []byte) { b[0] = 'X' }, "does not begin with GGUF"},
		"version":           {put32(4, 1), "version 1"},
		"tensor count":      {put64(8, 1<<63), "tensors, more than it can hold"},
		"kv count":          {put64(16, math.MaxUint64), "more than it can hold"},
		"key length":        {put64(24, 1<<40), "a name of"},
		"string length":     {put64(at("general.architecture")+4, math.MaxUint64), "beyond the file's"},
		"array length":      {put64(at("tokenizer.ggml.scores")+8, 1<<62), "beyond the file's"},
		"array of arrays":   {put32(at("tokenizer.ggml.scores")+4, uint32(Array)), "unusable array"},
		"kind":              {put32(at("llama.block_count"), 99), "unusable kind 99"},
		"boolean":           {func(b []byte) { b[at("add_bos_token")+4] = 2 }, "boolean"},
		"dimensions":        {put32(embd, 5), "has 5 dimensions"},
		"no dimensions":     {put32(embd, 0), "has 0 dimensions"},
		"zero dimension":    {put64(embd+4, 0), "has 0 as dimension 0"},
		"negative":          {put64(embd+4, 1<<63), "a dimension of"},
		"product overflows": {put64(embd+4, 1<<62), "overflows"},
		"type":              {put32(embd+20, 4), "unknown ggml type 4"},
		"overlap":           {put64(up+24, 0), "overlap"},
		"huge offset":       {put64(up+24, math.MaxUint64), "overlap"},
		"beyond the file":   {put64(up+12, 1<<20), "beyond the file's"},
		"broken blocks":     {put64(up+4, 33), "not whole q4_0 blocks"},
		"name is not text":  {func(b []byte) { b[up-1] = 0 }, "not printable"},
		"duplicate key": {func(b []byte) { copy(b[at("tokenizer.ggml.scores")-6:], "tokens") },
			"occurs twice"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(good)
			c.do(b)
			_, err := decode(b)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestTruncated(t *testing.T) {
	good := sample(t)
	for n := range len(good) - 28 { // the last tensor's padding may be missing
		if _, err := decode(good[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("%d of %d bytes: %v", n, len(good), err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		kvs  []KV
		outs []Out
	}{
		"twice":     {[]KV{Uint32KV("a", 1), Uint32KV("a", 1)}, nil},
		"long name": {nil, []Out{{strings.Repeat("n", 64), F32, []int64{1}, nil}}},
		"type":      {nil, []Out{{"a", 5, []int64{1}, nil}}},
		"size":      {nil, []Out{{"a", F32, []int64{1 << 30, 1 << 29}, nil}, {"b", F32, []int64{1 << 30, 1 << 29}, nil}}},
		"alignment": {[]KV{Uint32KV(alignmentKey, 3)}, nil},
	} {
		if _, err := Plan(c.kvs, c.outs); err == nil {
			t.Errorf("%s: planned", name)
		}
	}
	for name, n := range map[string]int{"too much": 5, "too little": 3} {
		l, err := Plan(nil, []Out{{"a", F32, []int64{1}, fill(make([]byte, n))}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Write(t.Context(), io.Discard); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, err := Plan(nil, []Out{{"a", F32, []int64{1 << 20, 1 << 10}, func(_ context.Context, w io.Writer) error {
		cancel()
		_, err := io.CopyN(w, zeros{}, 4<<30)
		return err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled write: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte("GGUF\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decode(b)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		for _, x := range g.Tensors {
			if _, err := io.Copy(io.Discard, g.Data(x)); err != nil {
				t.Fatal(err)
			}
		}
		for _, kv := range g.KVs {
			kv.Text()
			kv.Uint()
			kv.Bool()
			for range kv.Strings() {
			}
			for range kv.Float32s() {
			}
		}
		if _, err := Plan(g.KVs, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestExtent: the size of a file is known once its header is there, and from then on;
// one that is no GGUF is told from its first bytes.
func TestExtent(t *testing.T) {
	whole := sample(t)
	f, err := decode(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		got, known, err := Extent(bytes.NewReader(whole[:n]), int64(n), "m.gguf")
		if err != nil || known != (int64(n) >= headerEnd(f)) || known && (got < int64(len(whole)) || got > int64(len(whole))+f.Alignment) {
			t.Fatalf("of %d bytes: %d, %v, %v; the file has %d, its data begin at %d", n, got, known, err, len(whole), f.DataOffset)
		}
	}
	for _, b := range []string{"GGML", "\x00\x00\x00\x00", "<htm", "GGUF\x09\x00\x00\x00", "GGUF\x03\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, _, err := Extent(strings.NewReader(b), int64(len(b)), "m.gguf"); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// headerEnd is where the last byte of the header is read, before padding.
func headerEnd(f *File) int64 {
	c := newCursor(f.r, f.Size)
	g := &File{Size: f.Size, byKey: map[string]int{}, byName: map[string]int{}}
	g.parse(c)
	return c.off
}

func FuzzExtent(f *testing.F) {
	f.Add(sample(f), 100)
	f.Add([]byte("GGUF\x03\x00\x00\x00"), 8)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		whole, errWhole := decode(b)
		have := int64(min(max(n, 0), len(b)))
		got, known, err := Extent(bytes.NewReader(b[:have]), have, "m.gguf")
		if known && (got <= 0 || got > maxFile+maxAlignment) {
			t.Fatalf("%d bytes", got)
		}
		if errWhole == nil && err != nil {
			t.Fatalf("a beginning of a file that is good: %v", err)
		}
		if errWhole == nil && known && got < whole.DataOffset {
			t.Fatalf("%d bytes, the data begin at %d", got, whole.DataOffset)
		}
	})
}
