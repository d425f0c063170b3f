package bundle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"skerry/appliance/bundle/gguf"
)

// SynthOptions says how random weights are made.
type SynthOptions struct {
	Seed uint64
	// Type of the weight matrices: q4_0 (if empty), q4_1, q8_0, f16 or f32.
	Type string
	// Progress is called with bytes written of how many; may be nil.
	Progress func(step string, done, total int64)
}

// Synth writes a GGUF of a named shape with random weights to dst, for timing:
// it loads, runs at the speed of a real model, and says nothing. The same seed
// gives the same bytes.
func Synth(ctx context.Context, shape, dst string, opt SynthOptions) error {
	s, err := ShapeNamed(shape)
	if err != nil {
		return err
	}
	if opt.Type == "" {
		opt.Type = TypeQ4_0
	}
	ty, ok := synthTypes[opt.Type]
	if !ok {
		return fmt.Errorf("type %q cannot be made: use q4_0, q4_1, q8_0, f16 or f32", short(opt.Type))
	}
	l, err := gguf.Plan(synthKVs(shape, s), synthTensors(s, ty, opt.Seed))
	if err != nil {
		return err
	}
	dir, base := filepath.Split(dst)
	if dir == "" {
		dir = "."
	}
	if err := checkSpace(dir, l.Size()); err != nil {
		return err
	}
	return placeFile(dir, base, func(f *os.File) error {
		var n int64
		return l.Write(ctx, &meter{ctx: ctx, w: f, n: &n, report: func(done int64) {
			if opt.Progress != nil {
				opt.Progress("write", done, l.Size())
			}
		}})
	})
}

func synthKVs(name string, s Shape) []gguf.KV {
	tokens, scores, kinds := synthVocab(s.Vocab)
	return []gguf.KV{
		gguf.StringKV("general.architecture", "llama"),
		gguf.StringKV("general.name", "synthetic "+name),
		gguf.Uint32KV("llama.block_count", uint32(s.Blocks)),
		gguf.Uint32KV("llama.context_length", uint32(s.Context)),
		gguf.Uint32KV("llama.embedding_length", uint32(s.Embedding)),
		gguf.Uint32KV("llama.feed_forward_length", uint32(s.FeedForward)),
		gguf.Uint32KV("llama.attention.head_count", uint32(s.Heads)),
		gguf.Uint32KV("llama.attention.head_count_kv", uint32(s.KVHeads)),
		gguf.Float32KV("llama.attention.layer_norm_rms_epsilon", 1e-5),
		gguf.Float32KV("llama.rope.freq_base", s.RopeBase),
		gguf.Uint32KV("llama.rope.dimension_count", uint32(s.Embedding/s.Heads)),
		gguf.Uint32KV("llama.vocab_size", uint32(s.Vocab)),
		gguf.StringKV(keyTokenizer, "llama"),
		gguf.StringsKV(keyTokens, tokens),
		gguf.Float32sKV("tokenizer.ggml.scores", scores),
		gguf.Int32sKV("tokenizer.ggml.token_type", kinds),
		gguf.Uint32KV("tokenizer.ggml.unknown_token_id", 0),
		gguf.Uint32KV("tokenizer.ggml.bos_token_id", 1),
		gguf.Uint32KV("tokenizer.ggml.eos_token_id", 2),
	}
}

// synthVocab makes a SentencePiece vocabulary of n tokens that covers any text
// byte by byte; the rest are fillers that no text contains.
func synthVocab(n int) (tokens []string, scores []float32, kinds []int32) {
	const normal, unknown, control, byteKind = 1, 2, 3, 6
	add := func(s string, kind int32) {
		tokens, scores, kinds = append(tokens, s), append(scores, -float32(len(scores))), append(kinds, kind)
	}
	add("<unk>", unknown)
	add("<s>", control)
	add("</s>", control)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), byteKind)
	}
	for i := len(tokens); i < n; i++ {
		add(fmt.Sprintf("\u2581filler%d", i), normal)
	}
	return tokens, scores, kinds
}

func synthTensors(s Shape, ty gguf.Type, seed uint64) []gguf.Out {
	var outs []gguf.Out
	vector := func(name string) {
		outs = append(outs, gguf.Out{Name: name, Type: gguf.F32, Dims: []int64{int64(s.Embedding)}, Data: ones(s.Embedding)})
	}
	matrix := func(name string, cols, rows int) {
		outs = append(outs, gguf.Out{Name: name, Type: ty, Dims: []int64{int64(cols), int64(rows)},
			Data: func(ctx context.Context, w io.Writer) error {
				return newNoise(seed, name, ty, cols).write(ctx, w, rows)
			}})
	}
	kv := s.Embedding / s.Heads * s.KVHeads
	matrix("token_embd.weight", s.Embedding, s.Vocab)
	for i := range s.Blocks {
		blk := fmt.Sprintf("blk.%d.", i)
		vector(blk + "attn_norm.weight")
		matrix(blk+"attn_q.weight", s.Embedding, s.Embedding)
		matrix(blk+"attn_k.weight", s.Embedding, kv)
		matrix(blk+"attn_v.weight", s.Embedding, kv)
		matrix(blk+"attn_output.weight", s.Embedding, s.Embedding)
		vector(blk + "ffn_norm.weight")
		matrix(blk+"ffn_gate.weight", s.Embedding, s.FeedForward)
		matrix(blk+"ffn_up.weight", s.Embedding, s.FeedForward)
		matrix(blk+"ffn_down.weight", s.FeedForward, s.Embedding)
	}
	vector("output_norm.weight")
	if !s.Tied {
		matrix("output.weight", s.Embedding, s.Vocab)
	}
	return outs
}
