package synth

import (
	"context"
	"fmt"
	"io"

	"skerry/appliance/bundle/gguf"
)

// builder makes the tensors of a shape, in the order of the file.
type builder struct {
	Shape
	ty   gguf.Type
	seed uint64
	outs []gguf.Out
}

func synthTensors(s Shape, ty gguf.Type, seed uint64) []gguf.Out {
	b := &builder{Shape: s, ty: ty, seed: seed}
	b.matrix("token_embd.weight", s.Embedding, s.Vocab)
	for i := range s.Blocks {
		b.block(fmt.Sprintf("blk.%d.", i))
	}
	b.norm("output_norm.weight", s.Embedding)
	if !s.Tied {
		b.matrix("output.weight", s.Embedding, s.Vocab)
	}
	if s.RopeFactors {
		b.vector("rope_freqs.weight", s.headLength()/2, 4, 1.7)
	}
	if s.Original > 0 {
		b.vector("rope_factors_long.weight", s.headLength()/2, 12, 5)
		b.vector("rope_factors_short.weight", s.headLength()/2, 1.3, 0.15)
	}
	return b.outs
}

func (b *builder) block(blk string) {
	q, kv := b.Heads*b.headLength(), b.KVHeads*b.headLength()
	b.norm(blk+"attn_norm.weight", b.Embedding)
	if b.Architecture == "phi3" {
		b.matrix(blk+"attn_qkv.weight", b.Embedding, q+2*kv)
	} else {
		b.matrix(blk+"attn_q.weight", b.Embedding, q)
		b.matrix(blk+"attn_k.weight", b.Embedding, kv)
		b.matrix(blk+"attn_v.weight", b.Embedding, kv)
	}
	switch b.Architecture {
	case "qwen2":
		b.vector(blk+"attn_q.bias", q, 0, 0.5)
		b.vector(blk+"attn_k.bias", kv, 0, 0.5)
		b.vector(blk+"attn_v.bias", kv, 0, 0.1)
	case "qwen3", "gemma3":
		b.norm(blk+"attn_q_norm.weight", b.headLength())
		b.norm(blk+"attn_k_norm.weight", b.headLength())
	}
	b.matrix(blk+"attn_output.weight", q, b.Embedding)
	if b.Architecture == "gemma3" {
		b.norm(blk+"post_attention_norm.weight", b.Embedding)
		b.norm(blk+"post_ffw_norm.weight", b.Embedding)
	}
	b.norm(blk+"ffn_norm.weight", b.Embedding)
	if b.Architecture == "phi3" {
		b.matrix(blk+"ffn_up.weight", b.Embedding, 2*b.FeedForward)
	} else {
		b.matrix(blk+"ffn_gate.weight", b.Embedding, b.FeedForward)
		b.matrix(blk+"ffn_up.weight", b.Embedding, b.FeedForward)
	}
	b.matrix(blk+"ffn_down.weight", b.FeedForward, b.Embedding)
}

func (b *builder) matrix(name string, cols, rows int) {
	seed, ty := b.seed, b.ty
	b.outs = append(b.outs, gguf.Out{Name: name, Type: ty, Dims: []int64{int64(cols), int64(rows)},
		Data: func(ctx context.Context, w io.Writer) error {
			return newNoise(seed, name, ty, cols).write(ctx, w, rows)
		}})
}

// norm makes a norm's weights, around 1. Those of llama are all 1.
func (b *builder) norm(name string, n int) {
	if b.Architecture == "llama" {
		b.outs = append(b.outs, gguf.Out{Name: name, Type: gguf.F32, Dims: []int64{int64(n)}, Data: ones(n)})
		return
	}
	b.vector(name, n, 1, 0.2)
}

// vector makes n values of a mean and standard deviation.
func (b *builder) vector(name string, n int, mean, deviation float32) {
	seed := b.seed
	b.outs = append(b.outs, gguf.Out{Name: name, Type: gguf.F32, Dims: []int64{int64(n)},
		Data: func(_ context.Context, w io.Writer) error {
			return newNoise(seed, name, gguf.F32, n).vector(w, n, mean, deviation)
		}})
}
