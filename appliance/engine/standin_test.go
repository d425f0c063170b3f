package engine_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/engine/gpu"
)

// standIn is a stage with layers on the stand-in for a GPU.
func standIn(t *testing.T, path string, o engine.Options, blocks int, head bool) *engine.Stage {
	t.Helper()
	enginetest.NeedsStandIn(t)
	s := enginetest.Open(t, path, o)
	if p := s.Placement(); p.Blocks != blocks || p.Head != head {
		t.Fatalf("placed %+v, wanted %d blocks and head %v", p, blocks, head)
	}
	return s
}

// tiny is a model of random weights of a type.
func tiny(t *testing.T, of string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.Write(t.Context(), "tiny", path, synth.Options{Seed: 1, Type: of}); err != nil {
		t.Fatal(err)
	}
	return path
}

// inOrder is a type of weights that no kernels re-order, as those for AMX do with Q8_0.
const inOrder = "q4_1"

// The stand-in computes with the same kernels, so wherever the layers are the results are the
// same bits, in batches of any size, with the graph ended early and not.
func TestLayersOnAGPU(t *testing.T) {
	path := tiny(t, inOrder)
	cpu := enginetest.Open(t, path, engine.Options{Sequences: 2})
	tokens := randomTokens(90, cpu.VocabSize(), 1)
	want := feed(t, cpu, 0, 0, tokens, nil, 64, engine.WantHidden|engine.WantLogits)
	blocks := cpu.Blocks()
	for _, c := range []struct {
		layers    gpu.Layers
		headOnCPU bool
		blocks    int
		head      bool
	}{
		{gpu.All, false, blocks, true}, {gpu.Auto, false, blocks, true}, {gpu.All, true, blocks, false}, {1, false, 1, false}, {0, false, 0, false},
	} {
		s := standIn(t, path, engine.Options{Sequences: 2, GPULayers: c.layers, HeadOnCPU: c.headOnCPU}, c.blocks, c.head)
		for _, size := range []int{64, 1} {
			out := feed(t, s, 1, 0, tokens, nil, size, engine.WantHidden|engine.WantLogits)
			equal(t, c.layers.String()+" hidden states", out.Hidden, want.Hidden)
			equal(t, c.layers.String()+" logits", out.Logits, want.Logits)
			s.Truncate(1, 0)
		}
		equal(t, c.layers.String()+" hidden states alone", feed(t, s, 0, 0, tokens, nil, 33, engine.WantHidden).Hidden, want.Hidden)
		last := feed(t, s, 1, 0, tokens, nil, 64, 0)
		if last.Logits != nil {
			t.Error("logits that nobody wants")
		}
		equal(t, c.layers.String()+" after a prompt without outputs", feed(t, s, 0, 90, tokens[:5], nil, 1, engine.WantLogits).Logits,
			feed(t, cpu, 0, 90, tokens[:5], nil, 1, engine.WantLogits).Logits)
		cpu.Truncate(0, 90)
	}
}

// A stage that gives hidden states after a block below the last one ends its graph there, with
// blocks behind it that are another device's.
func TestTapBelowAGPU(t *testing.T) {
	path := tiny(t, inOrder)
	tokens := randomTokens(40, enginetest.Open(t, path, engine.Options{}).VocabSize(), 2)
	cpu := enginetest.Open(t, path, engine.Options{Tap: 2, Also: []int{1}})
	b := engine.NewBatch(0, 0, len(tokens), engine.WantHidden)
	b.Tokens = tokens
	want, err := cpu.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, layers := range []gpu.Layers{gpu.All, 1, 2} {
		enginetest.NeedsStandIn(t)
		s := enginetest.Open(t, path, engine.Options{Tap: 2, Also: []int{1}, GPULayers: layers})
		for range 2 { // the second time the graph is there already
			got, err := s.Forward(b)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, layers.String(), got.Hidden, want.Hidden)
			equal(t, layers.String()+", below", got.Also[0], want.Also[0])
			s.Truncate(0, 0)
		}
	}
}

// Exits at 10 and 20 are the CPU's with their heads, and the rest of the model is the GPU's: the
// text is that of the CPU alone, token for token, but for kernels that re-order the weights: theirs
// differ in the last digits, and texts part where two tokens are nearly tied.
func TestExitsOnTheCPUAndTheRestOnAGPU(t *testing.T) {
	b := enginetest.Bundle(t)
	run := func(o engine.Options, rest engine.Options) (text []int32) {
		first := enginetest.Open(t, b.Path(bundle.Board1), o)
		second := enginetest.Open(t, b.Path(bundle.Board2), o)
		tail := enginetest.Open(t, b.Path(bundle.Cloud), rest)
		head, err := engine.NewHead(engine.HeadOptions{Norm: first, LM: first, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer head.Close()
		tokens := randomTokens(24, first.VocabSize(), 3)
		for pos := 0; len(text) < 12; {
			hidden := feed(t, first, 0, pos, tokens, nil, 64, engine.WantHidden).Hidden
			if _, err := head.Logits(hidden[len(hidden)-first.Width():]); err != nil {
				t.Fatal(err)
			}
			feed(t, second, 0, pos, nil, hidden, 64, engine.WantHidden)
			logits := feed(t, tail, 0, pos, nil, hidden, 64, engine.WantLogits).Logits
			logits = logits[len(logits)-tail.VocabSize():]
			next := int32(slices.Index(logits, slices.Max(logits)))
			pos += len(tokens)
			text, tokens = append(text, next), []int32{next}
		}
		return text
	}
	enginetest.NeedsStandIn(t)
	want := run(engine.Options{Context: 256}, engine.Options{Context: 256})
	gpuStages := engine.Options{Context: 256, GPULayers: gpu.All, HeadOnCPU: true}
	same := len(want)
	if slices.Contains(engine.Init("").Features, "AMX_INT8") {
		same = 1
	}
	if got := run(engine.Options{Context: 256}, engine.Options{Context: 256, GPULayers: gpu.All}); !slices.Equal(got[:same], want[:same]) {
		t.Errorf("with the rest on the GPU %v, on the CPU %v", got, want)
	}
	if got := run(gpuStages, engine.Options{Context: 256, GPULayers: 7}); !slices.Equal(got[:same], want[:same]) {
		t.Errorf("with the exits' blocks and seven others on the GPU %v, on the CPU %v", got, want)
	}
}

// Several sequences, and states that go from one device to the other.
func TestStatesOfAGPU(t *testing.T) {
	path := tiny(t, inOrder)
	o := engine.Options{Context: 3 * 256, Sequences: 3}
	cpu := enginetest.Open(t, path, o)
	o.GPULayers = gpu.All
	s := standIn(t, path, o, cpu.Blocks(), true)
	a, b := randomTokens(50, cpu.VocabSize(), 4), randomTokens(50, cpu.VocabSize(), 5)
	both := engine.Batch{Tokens: slices.Concat(a, b), Pos: make([]int32, 100), Seq: make([]int32, 100), Want: slices.Repeat([]engine.Want{engine.WantLogits}, 100)}
	for i := range both.Pos {
		both.Pos[i], both.Seq[i] = int32(i%50), int32(i/50)
	}
	want, err := cpu.Forward(both)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Forward(both)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "two sequences", got.Logits, want.Logits)
	if x, y := mustExport(t, cpu, 1), mustExport(t, s, 1); !slices.Equal(x, y) {
		t.Error("the states differ")
	}
	if err := s.Import(2, mustExport(t, cpu, 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy(0, 1, 30); err != nil {
		t.Fatal(err)
	}
	if err := cpu.Copy(0, 2, 30); err != nil {
		t.Fatal(err)
	}
	equal(t, "after an import", feed(t, s, 2, 50, a, nil, 8, engine.WantHidden).Hidden, feed(t, cpu, 1, 50, a, nil, 8, engine.WantHidden).Hidden)
	equal(t, "after a copy", feed(t, s, 1, 30, b, nil, 8, engine.WantHidden).Hidden, feed(t, cpu, 2, 30, b, nil, 8, engine.WantHidden).Hidden)
}

// Weights of types that are re-ordered on the CPU, and those of a requantized model, are added up
// in another order there: what differs is in the last digits.
func TestRequantizedOnAGPU(t *testing.T) {
	for _, ty := range []string{"q4_0", "q4_1"} {
		path := tiny(t, ty)
		cpu := enginetest.Open(t, path, engine.Options{})
		s := standIn(t, path, engine.Options{GPULayers: gpu.All}, cpu.Blocks(), true)
		tokens := randomTokens(40, cpu.VocabSize(), 6)
		want, got := feed(t, cpu, 0, 0, tokens, nil, 16, engine.WantHidden).Hidden, feed(t, s, 0, 0, tokens, nil, 16, engine.WantHidden).Hidden
		most := float32(0)
		for i := range want {
			most = max(most, want[i]-got[i], got[i]-want[i])
		}
		t.Logf("%s: hidden states within %g", ty, most)
		if most > 2e-2 {
			t.Errorf("%s: hidden states are %g apart", ty, most)
		}
	}
}

func TestMemoryOfAGPU(t *testing.T) {
	enginetest.NeedsStandIn(t)
	path := tiny(t, "q8_0")
	blocks := enginetest.Open(t, path, engine.Options{}).Blocks()
	all := standIn(t, path, engine.Options{GPULayers: gpu.All}, blocks, true).Placement()
	for _, c := range []struct {
		memory      int64
		layers      gpu.Layers
		least, most int
		why         string
	}{
		{0, gpu.Auto, 0, 0, "0 of " + strconv.Itoa(blocks+1) + " layers have room in the 0 MB that are free of Standin0"},
		{0, 2, 0, 0, "0 of 2 layers have room"},
		{all.Bytes * 3 / 4, gpu.All, 0, blocks, "layers have room in the"},
		{all.Bytes * 2, gpu.All, blocks + 1, blocks + 1, ""},
	} {
		before := engine.Device()
		t.Setenv("SKERRY_STANDIN_MEMORY", strconv.FormatInt(before.Total-before.Free+c.memory, 10))
		s := enginetest.Open(t, path, engine.Options{GPULayers: c.layers})
		p := s.Placement()
		n := p.Blocks
		if p.Head {
			n++
		}
		if n < c.least || n > c.most || !strings.Contains(p.Why, c.why) || (c.why == "") != (p.Why == "") {
			t.Errorf("%v in %d bytes: %+v", c.layers, c.memory, p)
		}
		used := before.Free - (engine.Device().Free - (engine.Device().Total - before.Total))
		if taken := p.Bytes; used > taken+taken/16 {
			t.Errorf("%v in %d bytes: it was to take %d and has taken %d", c.layers, c.memory, taken, used)
		}
		feed(t, s, 0, 0, randomTokens(300, s.VocabSize(), 7), nil, 256, engine.WantLogits)
		s.Close()
		t.Setenv("SKERRY_STANDIN_MEMORY", strconv.FormatInt(before.Total, 10))
	}
}

// Where a GPU fails the answer goes on, with what the CPU would have said: what was fed is
// computed again there, whether it came as tokens, as hidden states or as a state.
func TestAGPUThatFails(t *testing.T) {
	enginetest.NeedsStandIn(t)
	path := tiny(t, "q8_0")
	for _, kind := range []string{"tokens", "hidden states"} {
		o := engine.Options{Context: 3 * 256, Sequences: 3}
		cpu := enginetest.Open(t, path, o)
		o.GPULayers = gpu.All
		s := standIn(t, path, o, cpu.Blocks(), true)
		vocab := s.Vocab()
		a, b := randomTokens(60, cpu.VocabSize(), 8), randomTokens(20, cpu.VocabSize(), 9)
		give := func(s *engine.Stage, seq, pos int, tokens []int32, size int, want engine.Want) []float32 {
			if kind == "tokens" {
				return feed(t, s, seq, pos, tokens, nil, size, want).Logits
			}
			r, hidden := rand.New(rand.NewPCG(uint64(len(tokens)), 1)), make([]float32, len(tokens)*s.Width())
			for i := range hidden {
				hidden[i] = float32(r.NormFloat64())
			}
			return feed(t, s, seq, pos, nil, hidden, size, want).Logits
		}
		for _, s := range []*engine.Stage{cpu, s} {
			give(s, 0, 0, a, 64, 0)
			if err := s.Truncate(0, 40); err != nil {
				t.Fatal(err)
			}
			if err := s.Copy(0, 1, 30); err != nil {
				t.Fatal(err)
			}
			if err := s.Import(2, mustExport(t, cpu, 1)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.ExportPrefix(0, 10); err != nil {
				t.Fatal(err)
			}
			give(s, 2, 30, b, 64, 0)
		}
		t.Setenv("SKERRY_STANDIN_FAIL", "1")
		for seq, pos := range []int{40, 30, 50} {
			equal(t, "sequence "+strconv.Itoa(seq)+" of "+kind, give(s, seq, pos, b, 7, engine.WantLogits), give(cpu, seq, pos, b, 7, engine.WantLogits))
		}
		t.Setenv("SKERRY_STANDIN_FAIL", "")
		if p := s.Placement(); p.Blocks != 0 || !strings.Contains(p.Why, "the GPU has failed: ") {
			t.Errorf("placed %+v", p)
		}
		if d := engine.Device(); d.Name != "" || !strings.Contains(d.Not, "the stand-in does not answer") || !strings.Contains(d.Not, "start skerry again") {
			t.Errorf("the device is %+v", d)
		}
		if p := enginetest.Open(t, path, o).Placement(); p.Blocks != 0 || p.Why != engine.Device().Not {
			t.Errorf("the next stage is placed %+v", p)
		}
		if text, err := vocab.Tokenize("so", false, false); err != nil || len(text) == 0 {
			t.Errorf("its vocabulary has become %v, %v", text, err)
		}
		vocab.Close()
		engine.TryAgain()
	}
}

// As many sequences as are said to fit have all their layers on the GPU, and one more has not.
func TestSequencesThatFitAGPU(t *testing.T) {
	enginetest.NeedsStandIn(t)
	path := tiny(t, "q8_0")
	all := standIn(t, path, engine.Options{Context: 5 * 512, Sequences: 5, GPULayers: gpu.All}, enginetest.Open(t, path, engine.Options{}).Blocks(), true)
	bytes := all.Placement().Bytes
	all.Close()
	room := bytes + bytes/14 // of which a sixteenth is left
	if n := engine.SequencesThatFit(path, engine.Options{}, 512, room, 64); n != 5 {
		t.Errorf("%d sequences fit in the room of five", n)
	}
	if n := engine.SequencesThatFit(path, engine.Options{}, 512, room, 3); n != 3 {
		t.Errorf("%d sequences fit, of three that were asked for", n)
	}
	for _, free := range []int64{0, 1 << 16} {
		if n := engine.SequencesThatFit(path, engine.Options{}, 512, free, 64); n != 0 {
			t.Errorf("%d sequences fit in %d bytes", n, free)
		}
	}
	if n := engine.SequencesThatFit(path+".missing", engine.Options{}, 512, 1<<40, 64); n != 0 {
		t.Errorf("%d sequences fit of a file that is missing", n)
	}
}
