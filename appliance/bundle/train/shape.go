// Package train lowers, by gradient descent, the divergence of a model's first blocks with a
// head of their own from the whole model: the last of those blocks and the head's translator
// change, what lies below is frozen, and its hidden states are read and not computed. What
// comes of it is a smaller model of the same vocabulary, which drafts for the whole one.
//
// The loss is the Kullback-Leibler divergence from the whole model's distribution (Hinton et
// al., arXiv 1503.02531), the descent is Adam's (Kingma and Ba, arXiv 1412.6980).
package train

import (
	"errors"
	"fmt"
	"slices"

	"skerry/appliance/bundle/gguf"
)

// ErrArchitecture is wrapped where a model has parts that nothing here has gradients for.
var ErrArchitecture = errors.New("its blocks cannot be trained")

// Shape is that of a model's blocks.
type Shape struct {
	Width, FF      int
	Heads, KVHeads int
	Head           int // length of a query or a key
	Rotated        int // dimensions of it that positions turn
	Epsilon        float32
	RopeBase       float64
}

// matrices of a block and its norms, in the order in which a Net keeps them.
var tensors = []struct {
	name string
	dims func(s Shape) (rows, cols int)
}{
	{"attn_norm.weight", func(s Shape) (int, int) { return 1, s.Width }},
	{"attn_q.weight", func(s Shape) (int, int) { return s.Heads * s.Head, s.Width }},
	{"attn_k.weight", func(s Shape) (int, int) { return s.KVHeads * s.Head, s.Width }},
	{"attn_v.weight", func(s Shape) (int, int) { return s.KVHeads * s.Head, s.Width }},
	{"attn_output.weight", func(s Shape) (int, int) { return s.Width, s.Heads * s.Head }},
	{"ffn_norm.weight", func(s Shape) (int, int) { return 1, s.Width }},
	{"ffn_gate.weight", func(s Shape) (int, int) { return s.FF, s.Width }},
	{"ffn_up.weight", func(s Shape) (int, int) { return s.FF, s.Width }},
	{"ffn_down.weight", func(s Shape) (int, int) { return s.Width, s.FF }},
}

// block is a view of a block's weights, or of their gradients.
type block struct {
	attnNorm, q, k, v, o, ffnNorm, gate, up, down []float32
}

func (b *block) fields() []*[]float32 {
	return []*[]float32{&b.attnNorm, &b.q, &b.k, &b.v, &b.o, &b.ffnNorm, &b.gate, &b.up, &b.down}
}

// params is a view of all that is trained, or of its gradient, in one array.
type params struct {
	all    []float32
	blocks []block
	norm   []float32 // of the output
	head   []float32 // the translator [width][width], a row for each of its outputs
	bias   []float32 // that is added to its outputs
}

func (s Shape) params(blocks int, all []float32) params {
	p := params{all: all, blocks: make([]block, blocks)}
	take := func(n int) []float32 {
		part := all[:n:n]
		all = all[n:]
		return part
	}
	for i := range p.blocks {
		for k, f := range p.blocks[i].fields() {
			rows, cols := tensors[k].dims(s)
			*f = take(rows * cols)
		}
	}
	p.norm, p.head, p.bias = take(s.Width), take(s.Width*s.Width), take(s.Width)
	return p
}

func (s Shape) size(blocks int) int {
	n := 2*s.Width + s.Width*s.Width
	for _, t := range tensors {
		rows, cols := t.dims(s)
		n += blocks * rows * cols
	}
	return n
}

// ShapeOf reads the shape of a model's blocks. Errors wrap ErrArchitecture.
func ShapeOf(f *gguf.File) (s Shape, err error) {
	no := func(what string) (Shape, error) { return s, fmt.Errorf("%s: %w: %s", f.Name, ErrArchitecture, what) }
	kv, _ := f.KV("general.architecture")
	if arch, _ := kv.Text(); arch != "llama" {
		return no(fmt.Sprintf("its architecture is %q, and there are gradients for llama alone", gguf.Short(arch)))
	}
	number := func(key string, fallback int) int {
		kv, ok := f.KV("llama." + key)
		if !ok {
			return fallback
		}
		v, _ := kv.Uint()
		return int(min(v, 1<<24))
	}
	s.Width, s.FF = number("embedding_length", 0), number("feed_forward_length", 0)
	s.Heads = number("attention.head_count", 0)
	s.KVHeads = number("attention.head_count_kv", s.Heads)
	if s.Width < 1 || s.FF < 1 || s.Heads < 1 || s.KVHeads < 1 {
		return no("its hyperparameters are not to be read")
	}
	s.Head = number("attention.key_length", s.Width/s.Heads)
	s.Rotated = number("rope.dimension_count", s.Head)
	if s.Heads*s.Head != s.Width || s.Rotated != s.Head {
		return no("its heads do not share out its width, or are not turned whole, as a draft's have to")
	}
	s.RopeBase = 10000
	if kv, ok := f.KV("llama.rope.freq_base"); ok {
		base, _ := kv.Float32()
		s.RopeBase = float64(base)
	}
	eps, _ := f.KV("llama.attention.layer_norm_rms_epsilon")
	s.Epsilon, _ = eps.Float32()
	for _, kv := range f.KVs {
		if slices.Contains([]string{"llama.rope.scaling.type", "llama.rope.scale_linear", "llama.rope.scaling.factor"}, kv.Key) {
			if text, is := kv.Text(); !is || text != "none" {
				return no("its positions are scaled (" + kv.Key + ")")
			}
		}
	}
	known := func(name string) bool {
		return slices.ContainsFunc(tensors, func(t struct {
			name string
			dims func(s Shape) (rows, cols int)
		}) bool {
			return t.name == name
		})
	}
	for _, t := range f.Tensors {
		var block int
		var rest string
		if n, _ := fmt.Sscanf(t.Name, "blk.%d.%s", &block, &rest); n == 2 && !known(rest) || t.Name == "rope_freqs.weight" {
			return no("there is no gradient for its tensor " + gguf.Short(t.Name))
		}
	}
	return s, nil
}
