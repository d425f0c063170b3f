package parity_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// TestAdmittedIsHarmless changes bytes of a good model's header and has
// llama.cpp load and run whatever Check still admits. llama.cpp may refuse it;
// an abort would end this process.
func TestAdmittedIsHarmless(t *testing.T) {
	tries := 4000
	for _, c := range architectures {
		n := tries
		if testing.Short() {
			n = max(100, tries/8)
		}
		t.Run(c.shape, func(t *testing.T) { harm(t, tiny(t, c.shape, "q4_0"), n) })
		tries = 1000 // the first goes through what all have
	}
}

func harm(t *testing.T, src string, tries int) {
	good, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	// The vocabulary's arrays are most of the header and the least of it.
	vocab := bytes.Index(good, []byte("tokenizer.ggml.tokens")) + 60
	after := max(bytes.Index(good, []byte("tokenizer.ggml.unknown_token_id")), bytes.LastIndex(good[:bytes.Index(good, []byte("token_embd"))], []byte("tokenizer.ggml.bos_token_id"))-40)
	end := bytes.LastIndex(good, []byte("output_norm.weight")) + 40
	places := append(span(24, vocab), span(after, end)...)
	rng := rand.New(rand.NewPCG(1, 2))
	admitted, loaded := 0, 0
	for range tries {
		b := bytes.Clone(good)
		for range 1 + rng.IntN(2) {
			at := places[rng.IntN(len(places))]
			if rng.IntN(8) == 0 {
				at = vocab + rng.IntN(after-vocab)
			}
			b[at] ^= 1 << rng.IntN(8)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Check(path); err != nil {
			continue
		}
		admitted++
		if use(path) {
			loaded++
		}
	}
	t.Logf("of %d changed files %d were admitted and %d loaded", tries, admitted, loaded)
	if loaded == 0 {
		t.Error("nothing was loaded")
	}
}

func span(from, to int) []int {
	var s []int
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

func use(path string) bool {
	s, err := engine.OpenStage(path, engine.Options{Context: 8, Rows: 4, Threads: 1})
	if err != nil {
		return false
	}
	defer s.Close()
	v := s.Vocab()
	defer v.Close()
	if ids, err := v.Tokenize("a lighthouse\n", true, true); err == nil {
		for _, id := range ids {
			v.Piece(id, true)
		}
	}
	_, err = s.Forward(engine.Batch{Tokens: []int32{3, 70}, Pos: []int32{0, 1}, Want: []engine.Want{0, engine.WantLogits | engine.WantHidden}})
	return err == nil
}
