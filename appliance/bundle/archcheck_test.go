package bundle

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

// TestArchitecturesAreAdmitted reads a tiny model of each, as Synth makes it.
func TestArchitecturesAreAdmitted(t *testing.T) {
	for _, a := range Architectures() {
		name := bundletest.Tiny[a]
		if name == "" {
			t.Fatalf("%s has no tiny shape", a)
		}
		s, err := synth.ShapeNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Check(bundletest.Synth(t, name, "q4_0"))
		if err != nil {
			t.Fatal(err)
		}
		if m.Architecture != a || m.Blocks != s.Blocks || m.Tied != s.Tied || int(m.head) != cmp.Or(s.HeadLength, s.Embedding/s.Heads) {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m, err := Check(bundletest.Synth(t, "tiny-llama3", "q4_0")); err != nil || m.LongRope {
		t.Errorf("llama 3: %+v, %v", m, err)
	}
}

// Every tensor that is not optional is missed, and none is taken in another
// shape.
func TestArchitectureTensors(t *testing.T) {
	for a, name := range bundletest.Tiny {
		src := bundletest.Synth(t, name, "q4_0")
		for _, x := range bundletest.Open(t, src).Tensors {
			block, rest, _ := BlockOf(x.Name)
			if block > 0 {
				continue
			}
			spec := architectures[a].global[rest]
			if block == 0 {
				spec = architectures[a].block[rest]
			}
			at := func(outs []gguf.Out) int {
				return slices.IndexFunc(outs, func(o gguf.Out) bool { return o.Name == x.Name })
			}
			if block == 0 && !spec.optional {
				refused(t, bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
					return kvs, slices.Delete(outs, at(outs), at(outs)+1)
				}), "tensor "+x.Name+" is missing")
			}
			refused(t, bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
				o := &outs[at(outs)]
				o.Dims = append([]int64{o.Dims[0] + 32}, o.Dims[1:]...)
				size, err := o.Type.Size(o.Dims)
				if err != nil {
					t.Fatal(err)
				}
				o.Data = bundletest.Zeros(size)
				return kvs, outs
			}), "tensor "+x.Name+" has shape")
		}
	}
}

// A draft may add a bias to its logits, and a model that is cut into stages may not: its exits
// have only its LM head.
func TestOutputBiasIsADraftsAlone(t *testing.T) {
	for a, taken := range map[string]bool{"qwen2": true, "llama": false} {
		path := bundletest.Edit(t, bundletest.Synth(t, bundletest.Tiny[a], "q4_0"), func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
			return kvs, append(outs, gguf.Out{Name: OutputBias, Type: gguf.F32, Dims: []int64{512}, Data: bundletest.Zeros(4 * 512)})
		})
		if m, err := CheckDraft(bundletest.Open(t, path)); (err == nil) != taken {
			t.Errorf("%s drafts: %+v, %v", a, m, err)
		}
		refused(t, path, "tensor output.bias is not part of architecture "+a)
	}
}

// dropped marks a key that a test takes out.
const dropped = gguf.Kind(99)

// TestHostileArchitectures are keys that only one architecture's graph reads.
func TestHostileArchitectures(t *testing.T) {
	u32, f32, drop := gguf.Uint32KV, gguf.Float32KV, func(key string) gguf.KV { return gguf.KV{Key: key, Kind: dropped} }
	for name, c := range map[string]struct {
		shape string
		kvs   []gguf.KV
		want  string
	}{
		"qwen2, heads not even":      {"tiny-qwen2", []gguf.KV{u32("qwen2.attention.key_length", 32), u32("qwen2.attention.value_length", 32), u32("qwen2.rope.dimension_count", 32)}, "4 heads of length 32 do not make the embedding length 64"},
		"qwen2, embeddings":          {"tiny-qwen2", []gguf.KV{u32("qwen2.pooling_type", 3)}, "qwen2.pooling_type is not 0: this variant of qwen2 is not supported"},
		"qwen3, half rotated":        {"tiny-qwen3", []gguf.KV{u32("qwen3.rope.dimension_count", 16)}, "does not fit the key length 32"},
		"qwen3, other heads":         {"tiny-qwen3", []gguf.KV{u32("qwen3.attention.key_length", 16), u32("qwen3.attention.value_length", 16), u32("qwen3.rope.dimension_count", 16)}, "the metadata want"},
		"qwen3, no value length":     {"tiny-qwen3", []gguf.KV{drop("qwen3.attention.value_length")}, "value length 16 is not the key length 32"},
		"gemma3, window":             {"tiny-gemma3", []gguf.KV{u32("gemma3.attention.sliding_window", 1<<31)}, "not a uint32 of 0 to"},
		"gemma3, window kind":        {"tiny-gemma3", []gguf.KV{f32("gemma3.attention.sliding_window", 24)}, "not a uint32 of 0 to"},
		"gemma3, pattern":            {"tiny-gemma3", []gguf.KV{u32("gemma3.attention.sliding_window_pattern", 4)}, "sliding_window_pattern is not 6"},
		"gemma3, local base":         {"tiny-gemma3", []gguf.KV{f32("gemma3.rope.freq_base_swa", 20000)}, "freq_base_swa is not 10000"},
		"gemma3, softcapping":        {"tiny-gemma3", []gguf.KV{f32("gemma3.final_logit_softcapping", 30)}, "final_logit_softcapping is not 0: this variant of gemma3 is not supported"},
		"gemma3, softcapping text":   {"tiny-gemma3", []gguf.KV{gguf.StringKV("gemma3.final_logit_softcapping", "0")}, "final_logit_softcapping is not 0"},
		"phi3, heads not even":       {"tiny-phi3", []gguf.KV{u32("phi3.attention.key_length", 32), u32("phi3.attention.value_length", 32)}, "do not make the embedding length 64"},
		"phi3, more rotated":         {"tiny-phi3", []gguf.KV{u32("phi3.rope.dimension_count", 32)}, "does not fit the key length 16"},
		"phi3, other factors":        {"tiny-phi3", []gguf.KV{u32("phi3.rope.dimension_count", 8)}, "tensor rope_factors_long.weight has shape [8], the metadata want [4]"},
		"phi3, original context":     {"tiny-phi3", []gguf.KV{u32("phi3.rope.scaling.original_context_length", 0)}, "original_context_length is not a uint32 of 1 to"},
		"phi3, window":               {"tiny-phi3", []gguf.KV{u32("phi3.attention.sliding_window", 1<<31)}, "not a uint32 of 0 to"},
		"phi3 by name":               {"tiny-qwen3", []gguf.KV{gguf.StringKV("general.name", "my Phi-3")}, "token </s> is missing"},
		"smollm3, half rotated":      {"tiny-smollm3", []gguf.KV{u32("smollm3.rope.dimension_count", 8)}, "does not fit the key length 16"},
		"smollm3, another tokenizer": {"tiny-smollm3", []gguf.KV{gguf.StringKV(gguf.KeyTokenizer, "bert")}, `tokenizer "bert" is not supported`},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, bundletest.Edit(t, bundletest.Synth(t, c.shape, "q4_0"), func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
				for _, kv := range c.kvs {
					if kvs = bundletest.Without(kvs, kv.Key); kv.Kind != dropped {
						kvs = append(kvs, kv)
					}
				}
				return kvs, outs
			}), c.want)
		})
	}
}

// gemma3 27B is known to llama.cpp by its 62 blocks, a slice of it is not.
func TestGemma27BIsRefused(t *testing.T) {
	for blocks, want := range map[int]string{61: "", 62: "gemma3 of 62 blocks is not supported", 5: "5 blocks are fewer than gemma3's 6"} {
		s, err := synth.ShapeNamed("tiny-gemma3")
		if err != nil {
			t.Fatal(err)
		}
		s.Blocks = blocks
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := s.Write(t.Context(), "test", path, synth.Options{}); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if _, err := Check(path); err != nil {
				t.Errorf("%d blocks: %v", blocks, err)
			}
			continue
		}
		refused(t, path, want)
		if _, err := Check(path); blocks == 62 && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v is no ErrUnsupported", err)
		}
	}
}

// One set of rope factors alone would be taken in silence.
func TestLongRopeComesInPairs(t *testing.T) {
	src := bundletest.Synth(t, "tiny-phi3", "q4_0")
	for _, name := range []string{RopeLong, RopeShort} {
		refused(t, bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
			return kvs, slices.DeleteFunc(outs, func(o gguf.Out) bool { return o.Name == name })
		}), "both are needed")
	}
}
