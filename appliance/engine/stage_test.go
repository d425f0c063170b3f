package engine_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

func TestMain(m *testing.M) { enginetest.MainStandIn(m) }

// exact reports whether results are independent of the batch size to the last
// bit, as they are on x86 with flash attention.
const exact = runtime.GOARCH == "amd64"

// equal fails unless a and b are the same numbers: to the last bit where the
// kernels promise that, else closely.
func equal(t *testing.T, what string, a, b []float32) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d values against %d", what, len(a), len(b))
	}
	for i := range a {
		d := a[i] - b[i]
		if exact && a[i] != b[i] || d > 1e-2 || d < -1e-2 || d != d {
			t.Fatalf("%s: value %d is %g against %g", what, i, a[i], b[i])
		}
	}
}

// feed runs tokens or hidden states of one sequence from pos on, in batches of
// size, and returns what every row wants.
func feed(t testing.TB, s *engine.Stage, seq, pos int, tokens []int32, hidden []float32, size int, want engine.Want) engine.Output {
	t.Helper()
	n := max(len(tokens), len(hidden)/s.Width())
	var all engine.Output
	for i := 0; i < n; i += size {
		j := min(n, i+size)
		b := engine.Batch{}
		if tokens != nil {
			b.Tokens = tokens[i:j]
		} else {
			b.Hidden = hidden[i*s.Width() : j*s.Width()]
		}
		for k := i; k < j; k++ {
			b.Pos, b.Seq, b.Want = append(b.Pos, int32(pos+k)), append(b.Seq, int32(seq)), append(b.Want, want)
		}
		out, err := s.Forward(b)
		if err != nil {
			t.Fatal(err)
		}
		all.Hidden, all.Logits = append(all.Hidden, out.Hidden...), append(all.Logits, out.Logits...)
	}
	return all
}

func randomTokens(n, vocab int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 0))
	t := make([]int32, n)
	for i := range t {
		t[i] = int32(r.IntN(vocab-300) + 290)
	}
	return t
}

func TestKernelsAreNamed(t *testing.T) {
	k := engine.Init("")
	if k.Variant == "" || len(k.Devices) == 0 || !strings.Contains(k.Devices[0], "CPU") {
		t.Fatalf("kernels %+v", k)
	}
	if _, err := os.Stat(filepath.SplitList(os.Getenv("SKERRY_KERNELS"))[0]); err == nil && k.Baseline() {
		t.Fatal("kernels were built and the baseline is in use")
	}
	if !k.Baseline() && !slices.Contains(k.Features, "REPACK") {
		t.Fatalf("kernels without repacking: %v", k.Features)
	}
}

// Logits and hidden states do not depend on how positions are batched.
func TestBatchSizeDoesNotMatter(t *testing.T) {
	b := enginetest.Bundle(t)
	s := enginetest.Open(t, b.Path(bundle.Board1), engine.Options{})
	tokens := randomTokens(70, s.VocabSize(), 1)
	one := feed(t, s, 0, 0, tokens, nil, 1, engine.WantHidden|engine.WantLogits)
	large := 70
	if strings.HasPrefix(engine.LlamaSource(), "system") {
		large = 63 // newer ggml adds up the attention of 64 rows and more in tiles
	}
	for _, size := range []int{2, 3, 7, 16, 33, large} {
		s.Truncate(0, 0)
		out := feed(t, s, 0, 0, tokens, nil, size, engine.WantHidden|engine.WantLogits)
		equal(t, fmt.Sprintf("hidden states in batches of %d", size), out.Hidden, one.Hidden)
		equal(t, fmt.Sprintf("logits in batches of %d", size), out.Logits, one.Logits)
	}
	s.Truncate(0, 0)
	out := feed(t, s, 0, 0, tokens, nil, large, engine.WantHidden) // the graph ends early
	equal(t, "hidden states alone", out.Hidden, one.Hidden)
}

// Rows may want different things in one call.
func TestChosenRows(t *testing.T) {
	s := enginetest.Open(t, enginetest.Tiny(t), engine.Options{Rows: 32})
	tokens := randomTokens(200, s.VocabSize(), 2)
	all := feed(t, s, 0, 0, tokens, nil, 32, engine.WantHidden|engine.WantLogits)
	s.Truncate(0, 0)
	r := rand.New(rand.NewPCG(3, 0))
	b := engine.Batch{Tokens: tokens}
	var hidden, logits []float32
	for i := range tokens {
		w := engine.Want(r.IntN(4))
		b.Pos, b.Want = append(b.Pos, int32(i)), append(b.Want, w)
		if w&engine.WantHidden != 0 {
			hidden = append(hidden, all.Hidden[i*s.Width():(i+1)*s.Width()]...)
		}
		if w&engine.WantLogits != 0 {
			logits = append(logits, all.Logits[i*s.VocabSize():(i+1)*s.VocabSize()]...)
		}
	}
	out, err := s.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "hidden states", out.Hidden, hidden)
	equal(t, "logits", out.Logits, logits)
}

// Several taps of the whole model give what its slices give, however the rows
// are batched, with and without logits.
func TestTapsEqualTheSlices(t *testing.T) {
	b := enginetest.Bundle(t)
	e := b.Manifest.Exits
	tokens := randomTokens(70, 1000, 8)
	first := feed(t, enginetest.Open(t, b.Path(bundle.Board1), engine.Options{}), 0, 0, tokens, nil, 70, engine.WantHidden).Hidden
	second := feed(t, enginetest.Open(t, b.Path(bundle.Board2), engine.Options{}), 0, 0, nil, first, 70, engine.WantHidden).Hidden
	whole := enginetest.Open(t, b.Path(bundle.Unsplit), engine.Options{Also: e})
	last := feed(t, enginetest.Open(t, b.Path(bundle.Unsplit), engine.Options{}), 0, 0, tokens, nil, 70, engine.WantHidden).Hidden
	for _, want := range []engine.Want{engine.WantHidden, engine.WantHidden | engine.WantLogits} {
		if err := whole.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		batch := engine.NewBatch(0, 0, len(tokens), want)
		batch.Tokens = tokens
		out, err := whole.Forward(batch)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "first exit", out.Also[0], first)
		equal(t, "second exit", out.Also[1], second)
		equal(t, "last block", out.Hidden, last)
		if n := len(out.Logits); (n > 0) != (want&engine.WantLogits != 0) {
			t.Errorf("%d logits", n)
		}
	}
	batch := engine.NewBatch(0, len(tokens), 1, engine.WantLogits)
	batch.Tokens = tokens[:1]
	if _, err := whole.Forward(batch); err == nil {
		t.Error("a row without hidden states was taken")
	}
	if _, err := engine.OpenStage(b.Path(bundle.Board1), engine.Options{Also: []int{e[0]}}); err == nil {
		t.Error("a tap above the stage's own was taken")
	}
}

func TestThreeSequencesInOneBatchEqualThreeAlone(t *testing.T) {
	b := enginetest.Bundle(t)
	s := enginetest.Open(t, b.Path(bundle.Board1), engine.Options{Sequences: 3})
	lengths := []int{20, 5, 33}
	var alone [3]engine.Output
	var tokens [3][]int32
	for q, n := range lengths {
		tokens[q] = randomTokens(n, s.VocabSize(), uint64(10+q))
		alone[q] = feed(t, s, 0, 0, tokens[q], nil, 64, engine.WantHidden|engine.WantLogits)
		s.Truncate(0, 0)
	}
	var mixed engine.Batch
	var owner []int
	for i := range 33 { // interleaved by position
		for q := range 3 {
			if i < lengths[q] {
				mixed.Tokens = append(mixed.Tokens, tokens[q][i])
				mixed.Pos, mixed.Seq = append(mixed.Pos, int32(i)), append(mixed.Seq, int32(q))
				mixed.Want = append(mixed.Want, engine.WantHidden|engine.WantLogits)
				owner = append(owner, q)
			}
		}
	}
	out, err := s.Forward(mixed)
	if err != nil {
		t.Fatal(err)
	}
	var got [3]engine.Output
	for i, q := range owner {
		got[q].Hidden = append(got[q].Hidden, out.Hidden[i*s.Width():(i+1)*s.Width()]...)
		got[q].Logits = append(got[q].Logits, out.Logits[i*s.VocabSize():(i+1)*s.VocabSize()]...)
	}
	for q := range 3 {
		equal(t, fmt.Sprintf("hidden states of sequence %d", q), got[q].Hidden, alone[q].Hidden)
		equal(t, fmt.Sprintf("logits of sequence %d", q), got[q].Logits, alone[q].Logits)
	}
}

func TestTruncateEqualsNeverHavingBeenThere(t *testing.T) {
	b := enginetest.Bundle(t)
	s := enginetest.Open(t, b.Path(bundle.Board1), engine.Options{})
	tokens := randomTokens(40, s.VocabSize(), 4)
	want := feed(t, s, 0, 0, tokens, nil, 40, engine.WantHidden)
	s.Truncate(0, 0)
	r := rand.New(rand.NewPCG(5, 0))
	pos := 0
	var got []float32
	for pos < len(tokens) { // some true tokens, then some drafted and taken back
		n := min(1+r.IntN(6), len(tokens)-pos)
		got = append(got, feed(t, s, 0, pos, tokens[pos:pos+n], nil, 8, engine.WantHidden).Hidden...)
		pos += n
		feed(t, s, 0, pos, randomTokens(1+r.IntN(5), s.VocabSize(), r.Uint64()), nil, 8, 0)
		if err := s.Truncate(0, pos); err != nil {
			t.Fatal(err)
		}
		if s.Position(0) != pos {
			t.Fatalf("position %d after truncation to %d", s.Position(0), pos)
		}
	}
	equal(t, "hidden states", got, want.Hidden)
}

func TestExportImportContinues(t *testing.T) {
	b := enginetest.Bundle(t)
	s := enginetest.Open(t, b.Path(bundle.Cloud), engine.Options{Sequences: 2})
	r := rand.New(rand.NewPCG(6, 0))
	hidden := make([]float32, 50*s.Width())
	for i := range hidden {
		hidden[i] = float32(r.NormFloat64())
	}
	cut := 30 * s.Width()
	feed(t, s, 0, 0, nil, hidden[:cut], 16, 0)
	state, err := s.Export(0)
	if err != nil {
		t.Fatal(err)
	}
	want := feed(t, s, 0, 30, nil, hidden[cut:], 16, engine.WantLogits)
	other := enginetest.Open(t, b.Path(bundle.Cloud), engine.Options{Sequences: 2})
	for i, dst := range []*engine.Stage{s, other} { // beside the original, and in another stage
		if err := dst.Import(1, state); err != nil {
			t.Fatal(err)
		}
		if dst.Position(1) != 30 {
			t.Fatalf("position %d after import", dst.Position(1))
		}
		got := feed(t, dst, 1, 30, nil, hidden[cut:], 16, engine.WantLogits)
		equal(t, fmt.Sprintf("logits after import %d", i), got.Logits, want.Logits)
	}
	if err := other.Import(0, mustExport(t, other, 0)); err != nil { // an empty one
		t.Fatal(err)
	}
	foreign := enginetest.Open(t, b.Path(bundle.Board2), engine.Options{})
	alone := enginetest.Open(t, b.Path(bundle.Cloud), engine.Options{})
	bad := slices.Clone(state)
	bad[len(bad)/2] ^= 1
	for name, try := range map[string]error{
		"another stage's":              foreign.Import(0, state),
		"another number of sequences'": alone.Import(0, state),
		"a damaged":                    other.Import(0, bad),
		"a cut":                        other.Import(0, state[:len(state)-9]),
		"an empty":                     other.Import(0, nil),
		"a text":                       other.Import(0, []byte(strings.Repeat("skerryKV1\n", 20))),
	} {
		if !errors.Is(try, engine.ErrState) {
			t.Errorf("%s state: %v", name, try)
		}
	}
	if other.Position(0) != 0 {
		t.Error("a failed import left positions")
	}
}

func mustExport(t *testing.T, s *engine.Stage, seq int) []byte {
	t.Helper()
	b, err := s.Export(seq)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStagesComputeConcurrently(t *testing.T) {
	path := enginetest.Tiny(t)
	tokens := randomTokens(100, 512, 7)
	want := feed(t, enginetest.Open(t, path, engine.Options{}), 0, 0, tokens, nil, 9, engine.WantLogits)
	var wg sync.WaitGroup
	got := make([]engine.Output, 4)
	for i := range got {
		s := enginetest.Open(t, path, engine.Options{})
		wg.Go(func() { got[i] = feed(t, s, 0, 0, tokens, nil, 9, engine.WantLogits) })
	}
	wg.Wait()
	for i := range got {
		equal(t, fmt.Sprintf("stage %d", i), got[i].Logits, want.Logits)
	}
}

func TestBadCallsAreErrors(t *testing.T) {
	path := enginetest.Tiny(t)
	s := enginetest.Open(t, path, engine.Options{Context: 256, Sequences: 2})
	w := s.Width()
	for name, b := range map[string]engine.Batch{
		"nothing":             {},
		"tokens and hidden":   {Tokens: []int32{1}, Hidden: make([]float32, w), Pos: []int32{0}},
		"too few tokens":      {Tokens: []int32{1}, Pos: []int32{0, 1}},
		"narrow hidden":       {Hidden: make([]float32, w-1), Pos: []int32{0}},
		"token too large":     {Tokens: []int32{512}, Pos: []int32{0}},
		"negative token":      {Tokens: []int32{-1}, Pos: []int32{0}},
		"sequence too large":  {Tokens: []int32{1}, Pos: []int32{0}, Seq: []int32{2}},
		"a gap":               {Tokens: []int32{1, 2}, Pos: []int32{0, 2}},
		"not the next":        {Tokens: []int32{1}, Pos: []int32{5}},
		"negative position":   {Tokens: []int32{1}, Pos: []int32{-1}},
		"wants of wrong size": {Tokens: []int32{1}, Pos: []int32{0}, Want: make([]engine.Want, 2)},
	} {
		if _, err := s.Forward(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var full *engine.ContextFullError
	b := engine.Batch{Tokens: make([]int32, 129)}
	for i := range b.Tokens {
		b.Pos = append(b.Pos, int32(i))
	}
	if _, err := s.Forward(b); !errors.As(err, &full) || full.Context != 128 {
		t.Errorf("a batch beyond the context: %v", err)
	}
	if s.Position(0) != 0 || s.Truncate(2, 0) == nil || s.Truncate(0, -1) == nil {
		t.Error("bad truncation")
	}
	for _, o := range []engine.Options{{Context: -1}, {Context: 3, Sequences: 4}, {Sequences: 65}, {Threads: -2}, {Poll: 101}, {KV: 7}, {Tap: 99}, {Tap: -1}, {Rows: -1}} {
		if s, err := engine.OpenStage(path, o); err == nil {
			s.Close()
			t.Errorf("options %+v: no error", o)
		}
	}
	s.Close()
	s.Close()
	if _, err := s.Forward(engine.Batch{Tokens: []int32{1}, Pos: []int32{0}}); err == nil {
		t.Error("forward after close")
	}
	for _, bad := range []string{"/nonexistent.gguf", os.Args[0]} {
		if _, err := engine.OpenStage(bad, engine.Options{}); err == nil || !strings.Contains(err.Error(), filepath.Base(bad)) {
			t.Errorf("open %s: %v", bad, err)
		}
	}
}

func TestKVTypes(t *testing.T) {
	path := enginetest.Bundle(t).Path(bundle.Board1)
	open := func(kv engine.KVType) *engine.Stage {
		return enginetest.Open(t, path, engine.Options{KV: kv, Context: 256})
	}
	tokens := randomTokens(60, 40000, 8)
	ref := feed(t, open(engine.KVF32), 0, 0, tokens, nil, 60, engine.WantHidden).Hidden
	size := map[engine.KVType]int64{engine.KVF32: open(engine.KVF32).Memory().KV}
	for kv, tolerance := range map[engine.KVType]float64{engine.KVF16: 0.01, engine.KVQ8: 0.05} {
		s := open(kv)
		got := feed(t, s, 0, 0, tokens, nil, 60, engine.WantHidden).Hidden
		size[kv] = s.Memory().KV
		var diff, norm float64
		for i := range got {
			diff += math.Pow(float64(got[i]-ref[i]), 2)
			norm += math.Pow(float64(ref[i]), 2)
		}
		if rel := math.Sqrt(diff / norm); !(rel <= tolerance) {
			t.Errorf("kv type %d: hidden states are off by %.4f of their norm", kv, rel)
		} else {
			t.Logf("kv type %d: off by %.5f", kv, rel)
		}
	}
	if size[engine.KVF32] != 2*size[engine.KVF16] || size[engine.KVQ8] >= size[engine.KVF16] || size[engine.KVQ8] == 0 {
		t.Errorf("kv bytes %v", size)
	}
}

// A thousand stages, with their heads and vocabularies, leave nothing behind. It
// is measured in a process of its own, where no earlier test has left free memory
// that would hide a leak.
func TestNoLeak(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand stages take a while")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoLeakHere$", "-test.v")
	cmd.Env = append(os.Environ(), "SKERRY_TEST_LEAK=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "RSS in KiB") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestNoLeakHere(t *testing.T) {
	if os.Getenv("SKERRY_TEST_LEAK") == "" {
		t.Skip("TestNoLeak runs this in a process of its own")
	}
	path := enginetest.Tiny(t)
	cycle := func() {
		s, err := engine.OpenStage(path, engine.Options{Context: 256, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		v := s.Vocab()
		h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: s, Threads: 2, Translator: make([]float32, s.Width()*s.Width())})
		if err != nil {
			t.Fatal(err)
		}
		out := feed(t, s, 0, 0, []int32{300, 301}, nil, 2, engine.WantHidden)
		if _, err := h.Logits(out.Hidden); err != nil {
			t.Fatal(err)
		}
		sm, err := engine.NewSampler(t.Context(), v, infer.Sampling{Temperature: 1, TopK: 5})
		if err != nil {
			t.Fatal(err)
		}
		sm.Close()
		s.Close()
		h.Close()
		v.Close()
	}
	for range 100 {
		cycle()
	}
	before := status(t)
	for range 1000 {
		cycle()
	}
	after := status(t)
	t.Logf("before %v, after %v (RSS in KiB)", before, after)
	if after["Threads"] > before["Threads"]+2 {
		t.Errorf("threads went from %d to %d", before["Threads"], after["Threads"])
	}
	// The loader of the module's llama.cpp leaves about 100 bytes behind for a matrix and each kind
	// of memory that it tries for it (empty buffers, which its ggml never frees): 7 KiB a load
	// of this model, 14 with AMX, which is one kind more.
	if after["VmRSS"] > before["VmRSS"]+24<<10 {
		t.Errorf("memory went from %d to %d KiB", before["VmRSS"], after["VmRSS"])
	}
}

func status(t *testing.T) map[string]int {
	t.Helper()
	runtime.GC()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	m := map[string]int{}
	for line := range strings.SplitSeq(string(data), "\n") {
		name, value, _ := strings.Cut(line, ":")
		if name == "Threads" || name == "VmRSS" || name == "RssAnon" {
			m[name], _ = strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return m
}
