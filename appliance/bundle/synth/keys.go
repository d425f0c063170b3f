package synth

import (
	"fmt"

	"skerry/appliance/bundle/gguf"
)

// synthKVs makes the metadata of a shape as converters write them.
func synthKVs(name string, s Shape) []gguf.KV {
	a := s.Architecture + "."
	eps := float32(1e-5)
	if s.Architecture != "llama" && s.Architecture != "phi3" {
		eps = 1e-6
	}
	kvs := []gguf.KV{
		gguf.StringKV("general.architecture", s.Architecture),
		gguf.StringKV("general.name", "synthetic "+name),
		gguf.Uint32KV(a+"block_count", uint32(s.Blocks)),
		gguf.Uint32KV(a+"context_length", uint32(s.Context)),
		gguf.Uint32KV(a+"embedding_length", uint32(s.Embedding)),
		gguf.Uint32KV(a+"feed_forward_length", uint32(s.FeedForward)),
		gguf.Uint32KV(a+"attention.head_count", uint32(s.Heads)),
		gguf.Uint32KV(a+"attention.head_count_kv", uint32(s.KVHeads)),
		gguf.Float32KV(a+"attention.layer_norm_rms_epsilon", eps),
		gguf.Float32KV(a+"rope.freq_base", s.RopeBase),
		gguf.Uint32KV(a+"rope.dimension_count", uint32(s.headLength())),
		gguf.Uint32KV(a+"vocab_size", uint32(s.Vocab)),
	}
	if s.HeadLength > 0 {
		kvs = append(kvs, gguf.Uint32KV(a+"attention.key_length", uint32(s.HeadLength)),
			gguf.Uint32KV(a+"attention.value_length", uint32(s.HeadLength)))
	}
	if s.Window > 0 {
		kvs = append(kvs, gguf.Uint32KV(a+"attention.sliding_window", uint32(s.Window)))
	}
	if s.Original > 0 {
		kvs = append(kvs, gguf.Uint32KV(a+"rope.scaling.original_context_length", uint32(s.Original)), gguf.Float32KV(a+"rope.scaling.attn_factor", 1.19))
	}
	switch s.Architecture {
	case "qwen2", "qwen3":
		return append(kvs, bytePairs(s.Vocab, "qwen2")...)
	case "smollm3":
		return append(kvs, bytePairs(s.Vocab, "smaug-bpe")...)
	}
	if s.Architecture == "phi3" {
		return append(kvs, sentencePieces(s.Vocab, phi3Tokens...)...)
	}
	if s.Vision {
		kvs = append(kvs, gguf.StringKV("tokenizer.chat_template", visionTemplate))
		return append(kvs, sentencePieces(s.Vocab, visionTokens...)...)
	}
	return append(kvs, sentencePieces(s.Vocab)...)
}

// visionTokens stand around the rows of an image that is cut into parts.
var visionTokens = []string{"<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "<row_1_col_2>", "<row_2_col_1>", "<row_2_col_2>", "\n", "\n\n"}

// visionTemplate is a conversation line by line.
const visionTemplate = `{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`

// phi3Tokens are control tokens of a phi3.
var phi3Tokens = []string{"<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"}

// The kinds of token.
const (
	tokenNormal, tokenUnknown, tokenControl, tokenByte = 1, 2, 3, 6
)

// vocab gathers a vocabulary.
type vocab struct {
	tokens []string
	scores []float32
	kinds  []int32
}

func (v *vocab) add(s string, kind int32) {
	v.tokens, v.scores, v.kinds = append(v.tokens, s), append(v.scores, -float32(len(v.scores))), append(v.kinds, kind)
}

// fill adds tokens that no text contains, up to n.
func (v *vocab) fill(n int, mark string) {
	for i := len(v.tokens); i < n; i++ {
		v.add(fmt.Sprintf("%sfiller%d", mark, i), tokenNormal)
	}
}

// sentencePieces makes a SentencePiece vocabulary of n tokens that covers any
// text byte by byte, with control tokens in addition.
func sentencePieces(n int, control ...string) []gguf.KV {
	var v vocab
	v.add("<unk>", tokenUnknown)
	v.add("<s>", tokenControl)
	v.add("</s>", tokenControl)
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), tokenByte)
	}
	for _, c := range control {
		v.add(c, tokenControl)
	}
	v.fill(n, "\u2581")
	return []gguf.KV{
		gguf.StringKV(gguf.KeyTokenizer, "llama"),
		gguf.StringsKV(gguf.KeyTokens, v.tokens),
		gguf.Float32sKV("tokenizer.ggml.scores", v.scores),
		gguf.Int32sKV("tokenizer.ggml.token_type", v.kinds),
		gguf.Uint32KV("tokenizer.ggml.unknown_token_id", 0),
		gguf.Uint32KV("tokenizer.ggml.bos_token_id", 1),
		gguf.Uint32KV("tokenizer.ggml.eos_token_id", 2),
	}
}

// bytePairs makes a byte-pair vocabulary of n tokens: every byte, a few merges,
// and fillers no merge leads to.
func bytePairs(n int, pre string) []gguf.KV {
	merges := []string{"t h", "th e", "e r", "i n", "a n", "Ġ a", "Ġ the", "an d"}
	var v vocab
	for b := range 256 {
		v.add(string(byteRune(b)), tokenNormal)
	}
	for _, m := range []string{"th", "the", "er", "in", "an", "Ġa", "Ġthe", "and"} {
		v.add(m, tokenNormal)
	}
	eos := len(v.tokens)
	v.add("<|endoftext|>", tokenControl)
	v.add("<|im_start|>", tokenControl)
	v.add("<|im_end|>", tokenControl)
	v.fill(n, "Ġ")
	return []gguf.KV{
		gguf.StringKV(gguf.KeyTokenizer, "gpt2"),
		gguf.StringKV("tokenizer.ggml.pre", pre),
		gguf.StringsKV(gguf.KeyTokens, v.tokens),
		gguf.Int32sKV("tokenizer.ggml.token_type", v.kinds),
		gguf.StringsKV(gguf.KeyMerges, merges),
		gguf.Uint32KV("tokenizer.ggml.bos_token_id", uint32(eos)),
		gguf.Uint32KV("tokenizer.ggml.eos_token_id", uint32(eos)),
	}
}

// byteRune is the printable rune that stands for a byte in byte-pair
// vocabularies: itself, or the next one from U+0100 on.
func byteRune(b int) rune {
	plain := func(b int) bool { return b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae }
	if plain(b) {
		return rune(b)
	}
	r := rune(0x100)
	for i := range b {
		if !plain(i) {
			r++
		}
	}
	return r
}
