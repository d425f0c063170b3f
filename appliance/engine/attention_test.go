package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"skerry/appliance/bundle/synth"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// Attention over several chunks of the cache gives each row the same, whatever the batch
// it comes in and the threads that share the chunks.
func TestAttentionDoesNotDependOnBatchOrThreads(t *testing.T) {
	const long = 600
	for _, shape := range []string{"tiny", "tiny-gemma3", "tiny-qwen3"} {
		for _, kv := range []engine.KVType{engine.KVF16, engine.KVF32, engine.KVQ8} {
			if kv == engine.KVQ8 && shape == "tiny" {
				continue // its heads are half a block of that type
			}
			t.Run(fmt.Sprintf("%s/kv%d", shape, kv), func(t *testing.T) {
				path := enginetest.Synth(t, shape)
				tokens := randomTokens(long, 512, 50)
				one := enginetest.Open(t, path, engine.Options{Context: long, KV: kv})
				want := feed(t, one, 0, 0, tokens, nil, 256, engine.WantHidden).Hidden
				must(t, one.Truncate(0, 500))
				equal(t, "hidden states one by one", feed(t, one, 0, 500, tokens[500:], nil, 1, engine.WantHidden).Hidden, want[500*one.Width():])
				if kv != engine.KVF16 || shape == "tiny-gemma3" {
					return
				}
				// One batch by two threads, which spin while they wait for one another.
				two := enginetest.Open(t, path, engine.Options{Context: long, KV: kv, Threads: 2})
				two.SetThreads(1)
				feed(t, two, 0, 0, tokens[:597], nil, 256, 0)
				two.SetThreads(2)
				equal(t, "hidden states by two threads", feed(t, two, 0, 597, tokens[597:], nil, 3, engine.WantHidden).Hidden, want[597*one.Width():])
			})
		}
	}
}

// Attention by tiles is what whole matrices of scores give, but for rounding: weights and
// a KV cache of float32 leave little of it.
func TestAttentionIsThatOfWholeMatrices(t *testing.T) {
	const long = 600
	for _, shape := range []string{"tiny", "tiny-gemma3", "tiny-phi3"} {
		t.Run(shape, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), shape+".gguf")
			must(t, synth.Write(t.Context(), shape, path, synth.Options{Seed: 1, Type: "f32"}))
			tokens := randomTokens(long, 512, 51)
			hidden := func(o engine.Options) []float32 {
				o.Context, o.KV = long, engine.KVF32
				return feed(t, enginetest.Open(t, path, o), 0, 0, tokens, nil, 64, engine.WantHidden).Hidden
			}
			got, want := hidden(engine.Options{}), hidden(engine.Options{NoFlashAttention: true})
			off, size := 0.0, 0.0
			for i := range want {
				off, size = math.Max(off, math.Abs(float64(got[i]-want[i]))), math.Max(size, math.Abs(float64(want[i])))
			}
			if off > 5e-3*size || math.IsNaN(off) {
				t.Errorf("values up to %g differ by up to %g", size, off)
			}
			t.Logf("values up to %g differ by up to %g", size, off)
		})
	}
}

// What a masked cell holds reaches no row, be it no number: a row comes to the same beside a
// later one whose keys and values are none, and in a sequence that held such a one before.
func TestMaskedCellsThatAreNoNumbers(t *testing.T) {
	const long, rows = 600, 5
	for _, shape := range []string{"tiny", "tiny-gemma3", "tiny-qwen3"} {
		for _, kv := range []engine.KVType{engine.KVF16, engine.KVF32} {
			t.Run(fmt.Sprintf("%s/kv%d", shape, kv), func(t *testing.T) {
				s := enginetest.Open(t, enginetest.Synth(t, shape), engine.Options{Context: 2 * long, Sequences: 2, KV: kv, Threads: 2})
				s.SetThreads(1)
				r := rand.New(rand.NewPCG(52, 0))
				hidden := make([]float32, long*s.Width())
				for i := range hidden {
					hidden[i] = float32(r.NormFloat64())
				}
				bad := slices.Clone(hidden)
				for i := (long - 1) * s.Width(); i < len(bad); i++ {
					bad[i] = float32(math.NaN())
				}
				at := func(n int) int { return n * s.Width() }
				for _, threads := range []int{1, 2} { // two share the chunks of a batch this small
					what := fmt.Sprintf("%d threads: ", threads)
					must(t, s.Truncate(0, 0))
					s.SetThreads(1)
					feed(t, s, 0, 0, nil, hidden[:at(long-rows)], 256, 0)
					s.SetThreads(threads)
					want := feed(t, s, 0, long-rows, nil, hidden[at(long-rows):], rows, engine.WantHidden).Hidden
					must(t, s.Truncate(0, long-rows))
					got := feed(t, s, 0, long-rows, nil, bad[at(long-rows):], rows, engine.WantHidden).Hidden
					if !math.IsNaN(float64(got[len(got)-1])) {
						t.Fatal("the last row came out as numbers")
					}
					equal(t, what+"rows before one that is none", got[:at(rows-1)], want[:at(rows-1)])
					must(t, s.Truncate(0, long-rows))
					b := engine.Batch{} // another sequence's rows in the same batch
					for i := range rows {
						b.Hidden, b.Pos, b.Seq, b.Want = append(b.Hidden, hidden[at(long-rows+i):at(long-rows+i+1)]...), append(b.Pos, int32(long-rows+i)), append(b.Seq, 0), append(b.Want, engine.WantHidden)
					}
					for i := range rows {
						b.Hidden, b.Pos, b.Seq, b.Want = append(b.Hidden, bad[at(long-1):]...), append(b.Pos, int32(i)), append(b.Seq, 1), append(b.Want, 0)
					}
					out, err := s.Forward(b)
					must(t, err)
					equal(t, what+"rows beside those of another sequence that are none", out.Hidden, want)
					must(t, s.Truncate(1, 0))
				}
			})
		}
	}
}

// Attention takes what AttentionMemory says, however many threads of this process have called
// for it one after the other.
func TestAttentionKeepsItsMemoryOnce(t *testing.T) {
	const long, callers = 2048, 16
	s := enginetest.Open(t, enginetest.Synth(t, "tiny-wide"), engine.Options{Context: long + 256, Threads: 2})
	s.SetThreads(1)
	feed(t, s, 0, 0, randomTokens(long, s.VocabSize(), 53), nil, 256, 0)
	s.SetThreads(2)
	more := randomTokens(36, s.VocabSize(), 54)
	ask := func() {
		b := engine.NewBatch(0, long, len(more), 0)
		b.Tokens = more
		if _, err := s.Forward(b); err != nil {
			t.Error(err)
		}
		must(t, s.Truncate(0, long))
	}
	thread, position := engine.AttentionMemory(64, 64, 2)
	debug.FreeOSMemory()
	before := status(t)["RssAnon"]
	var asked sync.WaitGroup
	over := make(chan struct{})
	for range callers { // each on a thread of its own, one after the other
		done := make(chan struct{})
		asked.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ask()
			close(done)
			<-over
		})
		<-done
	}
	ask()
	const noise = 2 << 10
	debug.FreeOSMemory()
	after := status(t)["RssAnon"]
	close(over)
	asked.Wait()
	if most := int(2*thread+long*position)>>10 + noise; after > before+most {
		t.Errorf("it took %d KiB, not at most %d", after-before, most)
	}
	t.Logf("%d KiB for %d of threads and %d of positions", after-before, 2*thread>>10, long*position>>10)
}
