package bundle

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
)

func TestCheck(t *testing.T) {
	m, err := Check(bundletest.Synth(t, "tiny", "q4_0"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Blocks != 6 || m.Embedding != 64 || m.Heads != 4 || m.KVHeads != 2 || m.Vocab != 512 || !m.Tied || m.ContextLength != 512 {
		t.Errorf("%+v", m)
	}
	if m, err := Check(bundletest.Synth(t, "tiny-untied", "f16")); err != nil || m.Tied {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestHostileModels are files whose GGUF is sound and whose model is not. Over
// several of them llama.cpp would abort the process.
func TestHostileModels(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	f := bundletest.Open(t, src)
	tokens := func(change func([]string) []string) func([]gguf.KV) []gguf.KV {
		kv, _ := f.KV(gguf.KeyTokens)
		var all []string
		for _, s := range kv.Strings() {
			all = append(all, string(s))
		}
		return func(kvs []gguf.KV) []gguf.KV { return bundletest.Set(kvs, gguf.StringsKV(gguf.KeyTokens, change(all))) }
	}
	with := func(more ...gguf.KV) func([]gguf.KV) []gguf.KV {
		return func(kvs []gguf.KV) []gguf.KV { return bundletest.Set(kvs, more...) }
	}
	drop := func(key string) func([]gguf.KV) []gguf.KV {
		return func(kvs []gguf.KV) []gguf.KV { return bundletest.Without(kvs, key) }
	}
	const a, v = "llama.", "tokenizer.ggml."
	for name, c := range map[string]struct {
		do   func([]gguf.KV) []gguf.KV
		want string
	}{
		"architecture":       {with(gguf.StringKV("general.architecture", "gemma2")), `architecture "gemma2" is not supported: use a model of gemma3, llama, phi3, qwen2, qwen3, smollm3`},
		"no architecture":    {drop("general.architecture"), "general.architecture is missing"},
		"parts":              {with(gguf.Uint32KV("split.count", 3)), "one of several parts"},
		"slice":              {with(gguf.StringKV(gguf.KeyRole, "cloud")), "it is the cloud slice of a bundle"},
		"more blocks":        {with(gguf.Uint32KV(a+"block_count", 7)), "tensor blk.6.attn_k.weight is missing though the model claims 7 blocks"},
		"fewer blocks":       {with(gguf.Uint32KV(a+"block_count", 5)), "tensor blk.5.attn_norm.weight does not belong"},
		"huge blocks":        {with(gguf.Uint32KV(a+"block_count", math.MaxUint32)), "not a uint32 of 1 to 512"},
		"no blocks":          {with(gguf.Uint32KV(a+"block_count", 0)), "not a uint32 of 1 to 512"},
		"kind":               {with(gguf.Uint64KV(a+"block_count", 6)), "not a uint32"},
		"width":              {with(gguf.Uint32KV(a+"embedding_length", 128)), "does not fit the key length"},
		"heads":              {with(gguf.Uint32KV(a+"attention.head_count", 6)), "not a multiple of 6 heads"},
		"kv heads":           {with(gguf.Uint32KV(a+"attention.head_count_kv", 3)), "not a multiple of 3 KV heads"},
		"heads by block":     {with(gguf.Int32sKV(a+"attention.head_count", []int32{4, 4, 4, 4, 4, 4})), "not a uint32"},
		"feed forward":       {with(gguf.Uint32KV(a+"feed_forward_length", 127)), "the metadata want"},
		"context":            {with(gguf.Uint32KV(a+"context_length", 0)), "context_length is not a uint32 of 1 to"},
		"rope dimensions":    {with(gguf.Uint32KV(a+"rope.dimension_count", 8)), "does not fit the key length"},
		"value length":       {with(gguf.Uint32KV(a+"attention.value_length", 32)), "value length 32 is not the key length 16"},
		"key length":         {with(gguf.Uint32KV(a+"attention.key_length", 32), gguf.Uint32KV(a+"attention.value_length", 32)), "does not fit the key length 32"},
		"rope base":          {with(gguf.Float32KV(a+"rope.freq_base", float32(math.NaN()))), "not a positive finite float32"},
		"epsilon":            {with(gguf.Float32KV(a+"attention.layer_norm_rms_epsilon", float32(math.Inf(1)))), "not a positive finite"},
		"no epsilon":         {drop(a + "attention.layer_norm_rms_epsilon"), "is missing"},
		"rope scaling":       {with(gguf.StringKV(a+"rope.scaling.type", "spiral")), "is not one of"},
		"experts":            {with(gguf.Uint32KV(a+"expert_count", 1000)), "mixtures of experts are not supported"},
		"classifier":         {with(gguf.Int32sKV(a+"classifier.output_labels", []int32{1})), "classifiers cannot be split"},
		"tokenizer":          {with(gguf.StringKV(gguf.KeyTokenizer, "bert")), `tokenizer "bert" is not supported`},
		"no vocabulary":      {with(gguf.StringKV(gguf.KeyTokenizer, "none")), "it has no tokenizer"},
		"vocabulary size":    {with(gguf.Uint32KV(a+"vocab_size", 511)), "not the number of tokens, 512"},
		"too few tokens":     {tokens(func(s []string) []string { return s[:511] }), "not the number of tokens, 511"},
		"equal tokens":       {tokens(func(s []string) []string { return append(s[:511:511], s[300]) }), "occurs twice"},
		"byte token":         {tokens(func(s []string) []string { s = append([]string(nil), s...); s[13] = "x"; return s }), "the token for byte 0x0A is missing"},
		"tokens are numbers": {with(gguf.Int32sKV(gguf.KeyTokens, make([]int32, 512))), "not an array of strings"},
		"scores":             {with(gguf.Float32sKV(v+"scores", make([]float32, 5))), "not an array of 512 float32"},
		"scores are strings": {with(gguf.StringsKV(v+"scores", make([]string, 512))), "not an array of 512 float32"},
		"score not finite":   {with(gguf.Float32sKV(v+"scores", append(make([]float32, 511), float32(math.NaN())))), "score of token 511 is not finite"},
		"token types":        {with(gguf.Float32sKV(v+"token_type", make([]float32, 512))), "not an array of 512 int32"},
		"merges":             {with(gguf.Int32sKV(gguf.KeyMerges, []int32{1})), "merges is not an array of strings"},
		"gpt2, no merges":    {with(gguf.StringKV(gguf.KeyTokenizer, "gpt2")), "merges is not an array of strings"},
		"special token":      {with(gguf.Uint32KV(v+"eos_token_id", 512)), "eos_token_id is not one of 512 tokens"},
		"alignment":          {with(gguf.Uint32KV("general.alignment", 8)), "aligned to 8 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) { return c.do(kvs), outs })
			refused(t, path, c.want)
		})
	}
}

func TestHostileTensors(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	change := func(name string, do func(*gguf.Out)) func([]gguf.Out) []gguf.Out {
		return func(outs []gguf.Out) []gguf.Out {
			for i := range outs {
				if outs[i].Name == name {
					do(&outs[i])
					size, err := outs[i].Type.Size(outs[i].Dims)
					if err != nil {
						t.Fatal(err)
					}
					outs[i].Data = bundletest.Zeros(size)
				}
			}
			return outs
		}
	}
	for name, c := range map[string]struct {
		do   func([]gguf.Out) []gguf.Out
		want string
	}{
		"shape":      {change("blk.1.attn_k.weight", func(o *gguf.Out) { o.Dims = []int64{64, 64} }), "tensor blk.1.attn_k.weight has shape [64 64], the metadata want [64 32]"},
		"three dims": {change("blk.1.attn_k.weight", func(o *gguf.Out) { o.Dims = []int64{64, 32, 1} }), "has shape [64 32 1]"},
		"rows":       {change("token_embd.weight", func(o *gguf.Out) { o.Dims = []int64{64, 511} }), "has shape [64 511]"},
		"norm type":  {change("output_norm.weight", func(o *gguf.Out) { o.Type = gguf.F16 }), "f32 is needed"},
		"integers":   {change("blk.0.ffn_up.weight", func(o *gguf.Out) { o.Type = gguf.I32 }), "cannot be computed with"},
		"q8_1":       {change("blk.0.ffn_up.weight", func(o *gguf.Out) { o.Type = gguf.Q8_1 }), "cannot be computed with"},
		"unknown":    {change("blk.0.ffn_up.weight", func(o *gguf.Out) { o.Name = "blk.0.ffn_gate_inp.weight" }), "is not part of architecture llama"},
		"odd number": {change("blk.0.ffn_up.weight", func(o *gguf.Out) { o.Name = "blk.00.ffn_up.weight" }), "does not belong to any"},
		"missing":    {func(o []gguf.Out) []gguf.Out { return o[1:] }, "tensor token_embd.weight is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			path := bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) { return kvs, c.do(outs) })
			refused(t, path, c.want)
		})
	}
}

// refused wants Check to say one line with want.
func refused(t *testing.T, path, want string) {
	t.Helper()
	_, err := Check(path)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with %q", err, want)
	}
}

func TestTruncated(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	whole, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.gguf")
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{0, 3, 4, 20, 1000, len(whole) / 2, len(whole) - 4096} {
		write(whole[:n])
		if _, err := Check(path); !errors.Is(err, gguf.ErrFormat) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	write(whole[:len(whole)/2])
	refused(t, path, "beyond the file's")
	if _, err := Check(filepath.Join(t.TempDir(), "none.gguf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Check(t.TempDir()); err == nil {
		t.Error("took a directory")
	}
}

// TestFlippedHeaders flips a bit of every seventh byte of a header of every
// architecture, one at a time: it is refused in one line or changes no more than a value.
func TestFlippedHeaders(t *testing.T) {
	step := 7
	if testing.Short() {
		step = 7 * 17
	}
	for _, shape := range bundletest.Tiny {
		src := bundletest.Synth(t, shape, "q4_0")
		whole, err := os.ReadFile(src)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < int(bundletest.Open(t, src).DataOffset); i += step {
			whole[i] ^= 1 << (i % 8)
			g, err := gguf.Read(bytes.NewReader(whole), int64(len(whole)), "flipped.gguf")
			if err == nil {
				_, err = CheckFile(g)
			}
			whole[i] ^= 1 << (i % 8)
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, byte %d: %q", shape, i, err)
			}
		}
	}
}
