package parity_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/build/testshort"
)

// architectures has a tiny shape of each, the exits where it is tried beside the
// default ones, and one where it cannot be cut.
var architectures = []struct {
	shape string
	exits [][]int
	off   []int
	why   string
}{
	{"tiny", [][]int{{1}, {1, 5}}, []int{6}, "out of range"},
	{"tiny-llama3", [][]int{{3}}, []int{0}, "out of range"},
	{"tiny-qwen2", [][]int{{5}, {1, 2}}, []int{6}, "out of range"},
	{"tiny-qwen3", [][]int{{5}, {1, 2}}, []int{6}, "out of range"},
	{"tiny-gemma3", [][]int{{6}, {12}, {6, 18}, {12, 18}}, []int{7, 12}, "give 6 or 12"},
	{"tiny-phi3", [][]int{{5}, {1, 2}}, []int{6}, "out of range"},
	{"tiny-smollm3", [][]int{{4}, {12}, {4, 12}, {8, 12}}, []int{6, 8}, "give 4 or 8"},
}

func TestArchitectures(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range architectures {
		src := tiny(t, c.shape, "q4_0")
		m, err := bundle.Check(src)
		if err != nil {
			t.Fatal(err)
		}
		tried[m.Architecture] = true
		exits, types := append([][]int{nil}, c.exits...), []string{"f16", "q4_1"}
		if testing.Short() {
			exits, types = exits[:1], nil
		}
		for _, exits := range exits {
			t.Run(fmt.Sprint(c.shape, exits), func(t *testing.T) { check(t, src, split.Options{Exits: exits}) })
		}
		for _, ty := range types {
			t.Run(c.shape+" "+ty, func(t *testing.T) { check(t, tiny(t, c.shape, ty), split.Options{}) })
		}
		_, err = split.Model(t.Context(), src, filepath.Join(t.TempDir(), "b"), split.Options{Exits: c.off, Parity: parity.Check})
		if err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s at %v: %v", c.shape, c.off, err)
		}
	}
	for _, a := range bundle.Architectures() {
		if !tried[a] {
			t.Errorf("%s was not tried", a)
		}
	}
}

func tiny(t testing.TB, shape, ty string) string {
	t.Helper()
	src := filepath.Join(t.TempDir(), shape+".gguf")
	if err := synth.Write(t.Context(), shape, src, synth.Options{Seed: 3, Type: ty}); err != nil {
		t.Fatal(err)
	}
	return src
}

// length of the texts below: far beyond the tiny shapes' sliding window.
const length = 200

// stages are those of a bundle of a tiny shape, with its whole model.
type stages struct {
	m                            *bundle.Manifest
	path                         string // of the whole model
	board1, board2, cloud, whole *engine.Stage
	tokens                       []int32
	logits                       []float32 // [length][n_vocab] of the whole model
}

func openStages(t *testing.T, shape string) *stages {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	m, err := split.Model(t.Context(), tiny(t, shape, "q4_0"), dir, split.Options{Quantizer: parity.Quantize})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	// A cloud's cache is larger than a board's.
	s := &stages{m: m, path: b.Path(bundle.Unsplit),
		board1: enginetest.Open(t, b.Path(bundle.Board1), engine.Options{Context: 256}),
		board2: enginetest.Open(t, b.Path(bundle.Board2), engine.Options{Context: 256}),
		cloud:  enginetest.Open(t, b.Path(bundle.Cloud), engine.Options{Context: 1024, Sequences: 4}),
		whole:  enginetest.Open(t, b.Path(bundle.Unsplit), engine.Options{Context: 256}),
	}
	r := rand.New(rand.NewPCG(7, 7))
	for range length {
		s.tokens = append(s.tokens, int32(r.IntN(m.Vocab)))
	}
	s.logits = feed(t, s.whole, 0, 0, s.tokens, nil, length, engine.WantLogits).Logits
	return s
}

// feed runs tokens or hidden states from pos on in batches of size.
func feed(t testing.TB, s *engine.Stage, seq, pos int, tokens []int32, hidden []float32, size int, want engine.Want) engine.Output {
	t.Helper()
	var all engine.Output
	for n := max(len(tokens), len(hidden)/s.Width()); n > 0; {
		k := min(n, size)
		b := engine.NewBatch(seq, pos, k, want)
		if tokens != nil {
			b.Tokens, tokens = tokens[:k], tokens[k:]
		} else {
			b.Hidden, hidden = hidden[:k*s.Width()], hidden[k*s.Width():]
		}
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		all.Hidden, all.Logits = append(all.Hidden, out.Hidden...), append(all.Logits, out.Logits...)
		pos, n = pos+k, n-k
	}
	return all
}

// equal wants the same numbers: to the last bit on x86, else closely.
func equal(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		d := got[i] - want[i]
		if runtime.GOARCH == "amd64" && got[i] != want[i] || !(d < 1e-2 && d > -1e-2) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// TestArchitecturesLazily drafts, truncates and catches up in batches of any
// size, as a board and a cloud do, and compares every position with the whole
// model's.
func TestArchitecturesLazily(t *testing.T) {
	testshort.Skip(t, "it computes with a model of each architecture")
	for _, c := range architectures {
		t.Run(c.shape, func(t *testing.T) {
			s := openStages(t, c.shape)
			width, vocab := s.board1.Width(), s.m.Vocab
			r := rand.New(rand.NewPCG(8, 8))
			var h1, h2, logits []float32
			for pos := 0; pos < length; {
				// A draft of other tokens goes through all stages and is rejected.
				draft := make([]int32, 1+r.IntN(40))
				for i := range draft {
					draft[i] = int32(r.IntN(vocab))
				}
				d1 := feed(t, s.board1, 0, pos, draft, nil, 7, engine.WantHidden).Hidden
				feed(t, s.board2, 0, pos, nil, d1, 64, 0)
				feed(t, s.cloud, 2, pos, nil, d1, 64, 0)
				for stage, seq := range map[*engine.Stage]int{s.board1: 0, s.board2: 0, s.cloud: 2} {
					if err := stage.Truncate(seq, pos); err != nil {
						t.Fatal(err)
					}
				}
				n := min(1+r.IntN(50), length-pos)
				h := feed(t, s.board1, 0, pos, s.tokens[pos:pos+n], nil, 1+r.IntN(n), engine.WantHidden).Hidden
				h1 = append(h1, h...)
				h2 = append(h2, feed(t, s.board2, 0, pos, nil, h, 1+r.IntN(n), engine.WantHidden).Hidden...)
				logits = append(logits, feed(t, s.cloud, 2, pos, nil, h, 1+r.IntN(n), engine.WantLogits).Logits...)
				pos += n
			}
			equal(t, "logits", logits, s.logits)
			for i, h := range [][]float32{h1, h2} {
				tapped := enginetest.Open(t, s.path, engine.Options{Context: 256, Tap: s.m.Exits[i]})
				equal(t, fmt.Sprintf("hidden states of exit %d", i+1), h, feed(t, tapped, 0, 0, s.tokens, nil, length, engine.WantHidden).Hidden)
			}
			// Back far beyond a window, in one step.
			for _, pos := range []int{length - 60, 40, 1} {
				if err := s.cloud.Truncate(2, pos); err != nil {
					t.Fatal(err)
				}
				got := feed(t, s.cloud, 2, pos, nil, h1[pos*width:], 33, engine.WantLogits).Logits
				equal(t, fmt.Sprintf("logits after truncating to %d", pos), got, s.logits[pos*vocab:])
			}
		})
	}
}

// TestArchitecturesHeads compares an exit head of our own graph with llama.cpp's
// end of each stage.
func TestArchitecturesHeads(t *testing.T) {
	testshort.Skip(t, "it computes with a model of each architecture")
	for _, c := range architectures {
		t.Run(c.shape, func(t *testing.T) {
			s := openStages(t, c.shape)
			h1 := feed(t, s.board1, 0, 0, s.tokens, nil, 64, engine.WantHidden|engine.WantLogits)
			equalHead(t, "exit 1", s.board1, s.board1, h1.Hidden, h1.Logits)
			h2 := feed(t, s.board2, 0, 0, nil, h1.Hidden, 64, engine.WantHidden).Hidden
			last := feed(t, s.cloud, 1, 0, nil, h1.Hidden, 64, engine.WantHidden|engine.WantLogits)
			equalHead(t, "the cloud's end", s.cloud, s.cloud, last.Hidden, s.logits)
			equalHead(t, "the cloud's end by board 1's LM head", s.board2, s.board1, last.Hidden, s.logits)
			equalHead(t, "the whole model's", s.whole, s.whole, last.Hidden, s.logits)
			a, b := head(t, s.board2, s.board1), head(t, s.whole, s.whole)
			x, err := a.Logits(h2)
			if err != nil {
				t.Fatal(err)
			}
			y, err := b.Logits(h2)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "exit 2", x, y)
		})
	}
}

func head(t *testing.T, norm, lm *engine.Stage) *engine.Head {
	t.Helper()
	h, err := engine.NewHead(engine.HeadOptions{Norm: norm, LM: lm, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func equalHead(t *testing.T, what string, norm, lm *engine.Stage, hidden, want []float32) {
	t.Helper()
	got, err := head(t, norm, lm).Logits(hidden)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, what, got, want)
}
