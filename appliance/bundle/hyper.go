package bundle

import (
	"fmt"

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

// RopeBase is the base frequency llama.cpp takes where a file has none.
const RopeBase = 10000

// hyper reads the hyperparameters and checks each against the others; the
// architecture's own come last.
func hyper(f *gguf.File, archName string, hyper func(*keys, *Model)) (*Model, error) {
	k := &keys{f: f, arch: archName}
	m := &Model{Architecture: archName, Period: 1}
	m.Blocks = int(k.number("block_count", maxBlocks, 0))
	m.ContextLength = int(k.number("context_length", maxContext, 0))
	embd := k.number("embedding_length", maxWidth, 0)
	ff := k.number("feed_forward_length", maxWidth*8, 0)
	heads := k.number("attention.head_count", 1<<16, 0)
	kvHeads := k.number("attention.head_count_kv", 1<<16, heads)
	if k.err == nil && heads%kvHeads != 0 {
		k.fail("%d heads are not a multiple of %d KV heads: the file is corrupt", heads, kvHeads)
	}
	if k.err != nil {
		return nil, k.err
	}
	m.Embedding, m.Heads, m.KVHeads, m.FeedForward = int(embd), int(heads), int(kvHeads), int(ff)
	k.headLengths(m)
	k.positive("attention.layer_norm_rms_epsilon", true)
	for _, optional := range []string{"rope.freq_base", "rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"} {
		k.positive(optional, false)
	}
	k.oneOf("rope.scaling.type", "none", "linear", "yarn", "longrope")
	k.number("rope.scaling.original_context_length", maxContext, uint32(m.ContextLength))
	k.absent("classifier.output_labels", "classifiers cannot be split, use a language model")
	k.only("pooling_type", 0) // others are embedding models
	k.experts()
	if k.err == nil {
		hyper(k, m)
	}
	return m, k.err
}

// headLengths reads the widths of heads, which need not share out the embedding
// where keys say what they are. The graphs abort over keys and values of
// different lengths.
func (k *keys) headLengths(m *Model) {
	embd, heads, kvHeads := uint32(m.Embedding), uint32(m.Heads), uint32(m.KVHeads)
	_, given := k.f.KV(k.arch + ".attention.key_length")
	if !given && embd%heads != 0 {
		k.fail("embedding length %d is not a multiple of %d heads: the file is corrupt", embd, heads)
		return
	}
	head := k.number("attention.key_length", maxWidth, max(1, embd/heads))
	value := k.number("attention.value_length", maxWidth, max(1, embd/heads))
	if k.err == nil && value != head {
		k.fail("value length %d is not the key length %d: the file is corrupt", value, head)
	}
	m.head, m.rotated = head, k.number("rope.dimension_count", maxWidth, head)
	if k.err == nil && (m.rotated > head || m.rotated%2 != 0) {
		k.fail("rope dimension count %d does not fit the key length %d: the file is corrupt", m.rotated, head)
	}
	q, kv := int64(head)*int64(heads), int64(head)*int64(kvHeads)
	m.dims = map[dim]int64{
		nEmbd: int64(embd), nFF: int64(m.FeedForward), nGateUp: 2 * int64(m.FeedForward), nHead: int64(head),
		nQ: q, nK: kv, nV: kv, nQKV: q + 2*kv, nHalfRot: int64(m.rotated / 2),
	}
}

func (k *keys) experts() {
	for _, key := range []string{"expert_count", "expert_used_count"} {
		kv, ok := k.f.KV(k.arch + "." + key)
		if !ok {
			continue
		}
		if n, ok := kv.Uint32(); !ok || n > 0 {
			k.fail("mixtures of experts are %w: use a dense model", ErrUnsupported)
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
	if kv, ok := f.KV(gguf.KeyRole); ok {
		role, _ := kv.Text()
		if role != string(Unsplit) {
			return fmt.Errorf("%s: it is the %s slice of a bundle: give the whole model", f.Name, gguf.Short(role))
		}
	}
	return nil
}
