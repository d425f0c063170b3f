package engine_test

import (
	"fmt"
	"math"
	"path/filepath"
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
