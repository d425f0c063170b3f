package heads

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
func someHead(exit int) *Fitted {
	h := &Fitted{Exit: exit, Translator: make([]float32, 64*64), Bias: make([]float32, 64), Shortlist: []int32{3, 7, 500}}
	for i := range h.Translator {
		h.Translator[i] = float32(i%100) / 64 // exact in float16
	}
	h.Bias[5] = 1.0 / 3
	return h
}

// No bytes of a head's file make the reader panic or take what does not fit.
func FuzzHead(f *testing.F) {
	source := strings.Repeat("a", 64)
	dir := f.TempDir()
	file, err := someHead(2).Write(context.Background(), dir, source)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, file.Name))
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
		got, err := Read(g, source, 64, 512)
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
