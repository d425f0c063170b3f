package synth

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// ProjectorShape is the size of a projector for images, with the encoder before it.
type ProjectorShape struct {
	Kind      string // "mlp", as LLaVA's, or "idefics3", as SmolVLM's
	Image     int    // pixels a side
	Patch     int    // pixels a side
	Embedding int    // of the encoder
	Heads     int
	Forward   int
	Blocks    int
	Scale     int // idefics3: so many patches a side become one row
	Longest   int // idefics3: pixels of an image's longer side before it is cut
	Width     int // of the model's input embeddings
}

// TinyProjector is small enough for tests: 16 patches, which are 16 rows by mlp and 4 by
// idefics3.
func TinyProjector(kind string, width int) ProjectorShape {
	return ProjectorShape{Kind: kind, Image: 32, Patch: 8, Embedding: 32, Heads: 2, Forward: 64, Blocks: 3, Scale: 2, Longest: 64, Width: width}
}

// WriteProjector writes a projector of random weights to dst. It sees nothing; the same seed
// gives the same bytes.
func WriteProjector(ctx context.Context, s ProjectorShape, dst string, seed uint64) error {
	l, err := gguf.Plan(s.kvs(), s.tensors(seed))
	if err != nil {
		return err
	}
	dir, base := filepath.Split(dst)
	if dir == "" {
		dir = "."
	}
	return disk.PlaceFile(dir, base, func(f *os.File) error { return l.Write(ctx, f) })
}

func (s ProjectorShape) kvs() []gguf.KV {
	const v = "clip.vision."
	kvs := []gguf.KV{
		gguf.StringKV("general.architecture", "clip"),
		gguf.StringKV("general.type", "mmproj"),
		gguf.StringKV("general.name", "synthetic "+s.Kind),
		gguf.BoolKV("clip.has_vision_encoder", true),
		gguf.StringKV("clip.projector_type", s.Kind),
		gguf.BoolKV("clip.use_gelu", true),
		gguf.Uint32KV(v+"image_size", uint32(s.Image)),
		gguf.Uint32KV(v+"patch_size", uint32(s.Patch)),
		gguf.Uint32KV(v+"embedding_length", uint32(s.Embedding)),
		gguf.Uint32KV(v+"feed_forward_length", uint32(s.Forward)),
		gguf.Uint32KV(v+"block_count", uint32(s.Blocks)),
		gguf.Uint32KV(v+"attention.head_count", uint32(s.Heads)),
		gguf.Float32KV(v+"attention.layer_norm_epsilon", 1e-5),
		gguf.Uint32KV(v+"projection_dim", uint32(s.Width)),
		gguf.Float32sKV(v+"image_mean", []float32{0.5, 0.4, 0.3}),
		gguf.Float32sKV(v+"image_std", []float32{0.25, 0.5, 0.4}),
	}
	if s.Kind == "idefics3" {
		kvs = append(kvs, gguf.Uint32KV(v+"projector.scale_factor", uint32(s.Scale)), gguf.Uint32KV(v+"preproc_image_size", uint32(s.Longest)))
	}
	return kvs
}

func (s ProjectorShape) tensors(seed uint64) []gguf.Out {
	b := &builder{Shape: Shape{Architecture: "clip"}, ty: gguf.F32, seed: seed}
	patches := (s.Image / s.Patch) * (s.Image / s.Patch)
	b.matrix("v.patch_embd.weight", s.Patch*s.Patch*3, s.Embedding)
	b.outs[0].Dims = []int64{int64(s.Patch), int64(s.Patch), 3, int64(s.Embedding)}
	b.vector("v.patch_embd.bias", s.Embedding, 0, 0.1)
	b.matrix("v.position_embd.weight", s.Embedding, patches)
	for i := range s.Blocks {
		blk := fmt.Sprintf("v.blk.%d.", i)
		for _, n := range []string{"attn_q", "attn_k", "attn_v", "attn_out"} {
			b.matrix(blk+n+".weight", s.Embedding, s.Embedding)
			b.vector(blk+n+".bias", s.Embedding, 0, 0.1)
		}
		for _, n := range []string{"ln1", "ln2"} {
			b.norm(blk+n+".weight", s.Embedding)
			b.vector(blk+n+".bias", s.Embedding, 0, 0.1)
		}
		b.matrix(blk+"ffn_up.weight", s.Embedding, s.Forward)
		b.vector(blk+"ffn_up.bias", s.Forward, 0, 0.1)
		b.matrix(blk+"ffn_down.weight", s.Forward, s.Embedding)
		b.vector(blk+"ffn_down.bias", s.Embedding, 0, 0.1)
	}
	b.norm("v.post_ln.weight", s.Embedding)
	b.vector("v.post_ln.bias", s.Embedding, 0, 0.1)
	if s.Kind == "idefics3" {
		b.matrix("mm.model.fc.weight", s.Embedding*s.Scale*s.Scale, s.Width)
		return b.outs
	}
	b.matrix("mm.0.weight", s.Embedding, s.Width)
	b.vector("mm.0.bias", s.Width, 0, 0.1)
	b.matrix("mm.2.weight", s.Width, s.Width)
	b.vector("mm.2.bias", s.Width, 0, 0.1)
	return b.outs
}
