package bundle

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

// The largest hyperparameters taken for honest: llama.cpp has tables for 512
// blocks, and products of the others have to stay far from overflow.
const (
	maxBlocks  = 512
	maxWidth   = 1 << 20
	maxContext = 1 << 27
	maxVocab   = 1 << 22
)

// ropeBase is the base frequency llama.cpp takes where a file has none.
const ropeBase = 10000

// keys reads hyperparameters and keeps the first error.
type keys struct {
	f    *gguf.File
	arch string
	err  error
}

func (k *keys) fail(format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("%s: %s", k.f.Name, fmt.Sprintf(format, args...))
	}
}

// number reads a uint32 of 1 to most; fallback stands in for a missing key
// unless it is 0.
func (k *keys) number(key string, most, fallback uint32) uint32 {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		if fallback == 0 {
			k.fail("%s is missing: the model is incomplete, get another copy", key)
		}
		return fallback
	}
	v, ok := kv.Uint32()
	if !ok || v < 1 || v > most {
		k.fail("%s is not a uint32 of 1 to %d: the file is corrupt, or of a kind that is not supported", key, most)
		return 1
	}
	return v
}

// positive checks that a float, if there is one, is above zero and finite.
func (k *keys) positive(key string, need bool) {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		if need {
			k.fail("%s is missing: the model is incomplete, get another copy", key)
		}
		return
	}
	v, ok := kv.Float32()
	if !ok || !(v > 0) || math.IsInf(float64(v), 0) {
		k.fail("%s is not a positive finite float32: the file is corrupt, download it again", key)
	}
}

func (k *keys) oneOf(key string, names ...string) {
	key = k.arch + "." + key
	kv, ok := k.f.KV(key)
	if !ok {
		return
	}
	if v, ok := kv.Text(); !ok || !slices.Contains(names, v) {
		k.fail("%s is not one of %s: the file is corrupt, or of a kind that is not supported", key, strings.Join(names, ", "))
	}
}

// absent refuses keys that turn the model into one of another kind.
func (k *keys) absent(key, why string) {
	if _, ok := k.f.KV(k.arch + "." + key); ok {
		k.fail("%s.%s is set: %s", k.arch, key, why)
	}
}

// hyper reads the hyperparameters and checks each against the others.
func hyper(f *gguf.File, archName string) (*Model, error) {
	k := &keys{f: f, arch: archName}
	m := &Model{Architecture: archName, dims: map[dim]int64{}}
	m.Blocks = int(k.number("block_count", maxBlocks, 0))
	m.ContextLength = int(k.number("context_length", maxContext, 0))
	embd := k.number("embedding_length", maxWidth, 0)
	ff := k.number("feed_forward_length", maxWidth*8, 0)
	heads := k.number("attention.head_count", 1<<16, 0)
	kvHeads := k.number("attention.head_count_kv", 1<<16, heads)
	if k.err == nil && embd%heads != 0 {
		k.fail("embedding length %d is not a multiple of %d heads: the file is corrupt", embd, heads)
	}
	if k.err == nil && heads%kvHeads != 0 {
		k.fail("%d heads are not a multiple of %d KV heads: the file is corrupt", heads, kvHeads)
	}
	if k.err != nil {
		return nil, k.err
	}
	key := k.number("attention.key_length", maxWidth, embd/heads)
	value := k.number("attention.value_length", maxWidth, embd/heads)
	rot := k.number("rope.dimension_count", maxWidth, key)
	if k.err == nil && (rot != key || rot%2 != 0) {
		k.fail("rope dimension count %d does not fit the key length %d: the file is corrupt", rot, key)
	}
	k.positive("attention.layer_norm_rms_epsilon", true)
	for _, optional := range []string{"rope.freq_base", "rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"} {
		k.positive(optional, false)
	}
	k.oneOf("rope.scaling.type", "none", "linear", "yarn", "longrope")
	k.absent("classifier.output_labels", "classifiers cannot be split, use a language model")
	k.experts()
	m.Embedding, m.Heads, m.KVHeads, m.FeedForward = int(embd), int(heads), int(kvHeads), int(ff)
	m.dims = map[dim]int64{
		nEmbd: int64(embd), nFF: int64(ff), nHalfRot: int64(rot / 2),
		nQ: int64(key) * int64(heads), nK: int64(key) * int64(kvHeads), nV: int64(value) * int64(kvHeads),
	}
	return m, k.err
}

func (k *keys) experts() {
	for _, key := range []string{"expert_count", "expert_used_count"} {
		kv, ok := k.f.KV(k.arch + "." + key)
		if !ok {
			continue
		}
		if n, ok := kv.Uint32(); !ok || n > 0 {
			k.fail("mixtures of experts are %v: use a dense model", ErrUnsupported)
		}
	}
}

// whole refuses one part of several and slices of a bundle.
func whole(f *gguf.File) error {
	if kv, ok := f.KV("split.count"); ok {
		if n, ok := kv.Uint(); !ok || n > 1 {
			return fmt.Errorf("%s: it is one of several parts of a model: join them with llama-gguf-split --merge first", f.Name)
		}
	}
	if kv, ok := f.KV(keyRole); ok {
		role, _ := kv.Text()
		if role != string(Unsplit) {
			return fmt.Errorf("%s: it is the %s slice of a bundle: give the whole model", f.Name, short(role))
		}
	}
	return nil
}

func short(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\n", " "), "?")
}
