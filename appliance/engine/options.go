package engine

import (
	"fmt"
	"runtime"

	"skerry/appliance/engine/gpu"
)

// KVType is the element type of a KV cache.
type KVType int

// KV cache element types, by ggml's type codes.
const (
	KVF16 KVType = 1
	KVQ8  KVType = 8
	KVF32 KVType = 32 // F32's own code is 0, which stands for the default here
)

// Options of a stage. The zero value is a stage of one sequence.
type Options struct {
	// Context is the number of positions the KV cache holds; default 2048. Each
	// costs 2·n_head_kv·head_dim elements a block. Every sequence has a cache of
	// Context/Sequences of its own, so that what it computes does not depend on
	// the others; llama.cpp rounds its memory up to a multiple of 256.
	Context int
	// Sequences is how many may be open at once; default 1.
	Sequences int
	// Rows is the most rows computed in one batch; default 256. Larger calls
	// are cut into batches. It sizes the compute buffers.
	Rows int
	// Threads computes with so many; default is the cores less one, at least 1.
	Threads int
	// Poll is how eagerly idle threads spin between graphs, 0 (sleep at once)
	// to 100; default 0, since spinning pools starve one another on few cores.
	Poll int
	// NoFlashAttention computes attention with whole score matrices, where
	// results depend more on the batch size.
	NoFlashAttention bool
	// KV is the cache's element type; default KVF16. KVQ8 halves its memory and
	// is not exact.
	KV KVType
	// Tap takes the hidden states after this many blocks; default all of them.
	// Forward calls that want no logits end there.
	Tap int
	// Also takes the hidden states after these blocks too, all below Tap, in
	// Output.Also. Every row of a batch must then want hidden states.
	Also []int
	// GPULayers is how many layers to put on the GPU, the last ones first; default none. Where
	// it has no room for so many, or there is none, there are fewer: Stage.Placement says how
	// many and why.
	GPULayers gpu.Layers
	// HeadOnCPU keeps the norm and LM head in the CPU's memory all the same, as exit heads that
	// share them need it.
	HeadOnCPU bool
}

func (o Options) withDefaults() Options {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.Context, 2048)
	def(&o.Sequences, 1)
	def(&o.Rows, 256)
	def(&o.Threads, max(1, runtime.GOMAXPROCS(0)-1))
	if o.KV == 0 {
		o.KV = KVF16
	}
	return o
}

// PerSequence is how many positions each sequence may hold.
func (o Options) PerSequence() int { return o.Context / max(1, o.Sequences) }

// cells is how many positions memory is taken for.
func (o Options) cells() int64 { return int64(o.PerSequence()+255) / 256 * 256 * int64(o.Sequences) }

// MaxSequences and MaxContext bound Options.Sequences, and Options.Context, the positions
// of all of them.
const (
	MaxSequences = 64
	MaxContext   = 1 << 22
)

func (o Options) check() error {
	for _, f := range []struct {
		name      string
		v, lo, hi int
	}{
		{"sequences", o.Sequences, 1, MaxSequences},
		{"context", o.Context, max(1, o.Sequences), MaxContext},
		{"rows", o.Rows, 1, 4096},
		{"threads", o.Threads, 1, 512},
		{"poll", o.Poll, 0, 100},
		{"gpu layers", int(o.GPULayers), int(gpu.Auto), int(gpu.All)},
	} {
		if f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("%s is %d: choose %d to %d", f.name, f.v, f.lo, f.hi)
		}
	}
	if o.KV != KVF16 && o.KV != KVQ8 && o.KV != KVF32 {
		return fmt.Errorf("kv cache type %d is unknown: choose f16, q8 or f32", o.KV)
	}
	return nil
}
