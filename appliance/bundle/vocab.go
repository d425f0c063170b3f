package bundle

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"skerry/appliance/bundle/gguf"
)

const (
	// noVocab is llama.cpp's tokenizer of a model without vocabulary, which
	// the mid stage is: its embedding is a dummy of dummyVocab rows.
	NoVocab    = "none"
	DummyVocab = 32
)

// specialIDs are the token ids llama.cpp reads from the metadata, and what it
// assumes without them by tokenizer model.
var specialIDs = map[string]map[string]int{
	"bos": {"llama": 1, "gpt2": 11}, "eos": {"llama": 2, "gpt2": 11}, "unknown": {"llama": 0},
	"eot": nil, "eom": nil, "seperator": nil, "separator": nil, "padding": nil, "mask": nil,
	"fim_pre": nil, "fim_suf": nil, "fim_mid": nil, "fim_pad": nil, "fim_rep": nil, "fim_sep": nil,
	"prefix": nil, "suffix": nil, "middle": nil,
}

// checkVocab checks the tokenizer and returns the number of tokens. llama.cpp
// asserts, or reads out of bounds, where these rules are broken.
func checkVocab(f *gguf.File, archName string) (int, error) {
	bad := func(format string, args ...any) (int, error) {
		return 0, fmt.Errorf("%s: %s: the file is corrupt, get another copy", f.Name, fmt.Sprintf(format, args...))
	}
	kv, _ := f.KV(gguf.KeyTokenizer)
	model, _ := kv.Text()
	if model == NoVocab {
		return checkNoVocab(f, archName)
	}
	if model != "llama" && model != "gpt2" {
		return 0, fmt.Errorf("%s: tokenizer %q is %w: use a model with tokenizer llama or gpt2", f.Name, gguf.Short(model), ErrUnsupported)
	}
	tokens, ok := f.KV(gguf.KeyTokens)
	if !ok || tokens.Kind != gguf.Array || tokens.Elem != gguf.String {
		return bad("%s is not an array of strings", gguf.KeyTokens)
	}
	if tokens.Len < 1 || tokens.Len > maxVocab {
		return bad("%s has %d entries", gguf.KeyTokens, tokens.Len)
	}
	if kv, ok := f.KV(archName + ".vocab_size"); ok {
		if n, ok := kv.Uint32(); !ok || int64(n) != int64(tokens.Len) {
			return bad("%s.vocab_size is not the number of tokens, %d", archName, tokens.Len)
		}
	}
	seen, err := uniqueTokens(tokens)
	if err != nil {
		return bad("%v", err)
	}
	for key, elem := range map[string]gguf.Kind{"tokenizer.ggml.scores": gguf.Float32, "tokenizer.ggml.token_type": gguf.Int32} {
		if kv, ok := f.KV(key); ok && (kv.Kind != gguf.Array || kv.Elem != elem || kv.Len != tokens.Len) {
			return bad("%s is not an array of %d %v", key, tokens.Len, elem)
		}
	}
	scores, _ := f.KV("tokenizer.ggml.scores")
	for i, s := range scores.Float32s() {
		if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			return bad("the score of token %d is not finite", i)
		}
	}
	if err := checkModel(f, model, seen); err != nil {
		return bad("%v", err)
	}
	if err := checkNamed(f, seen); err != nil {
		return bad("%v", err)
	}
	if err := checkSpecial(f, model, tokens.Len); err != nil {
		return bad("%v", err)
	}
	return tokens.Len, nil
}

// checkNoVocab admits the mid stage only.
func checkNoVocab(f *gguf.File, archName string) (int, error) {
	role, _ := f.KV(gguf.KeyRole)
	size, _ := f.KV(archName + ".vocab_size")
	r, _ := role.Text()
	if n, ok := size.Uint32(); !ok || n != DummyVocab || r != string(Board2) {
		return 0, fmt.Errorf("%s: it has no tokenizer: get another copy of the model", f.Name)
	}
	return DummyVocab, nil
}

// uniqueTokens gives the set of tokens. An empty one gets the name llama.cpp
// will give it.
func uniqueTokens(tokens gguf.KV) (map[string]struct{}, error) {
	seen := make(map[string]struct{}, tokens.Len)
	for i, raw := range tokens.Strings() {
		s := string(raw)
		if s == "" {
			s = fmt.Sprintf("[EMPTY_%d]", i)
		}
		if _, twice := seen[s]; twice {
			return nil, fmt.Errorf("token %d, %q, occurs twice", i, gguf.Short(s))
		}
		seen[s] = struct{}{}
	}
	return seen, nil
}

func checkModel(f *gguf.File, model string, tokens map[string]struct{}) error {
	merges, ok := f.KV(gguf.KeyMerges)
	if ok && (merges.Kind != gguf.Array || merges.Elem != gguf.String) || !ok && model == "gpt2" {
		return fmt.Errorf("%s is not an array of strings", gguf.KeyMerges)
	}
	if model != "llama" {
		return nil
	}
	// Text that no token covers falls back to bytes.
	for b := range 256 {
		_, hex := tokens[fmt.Sprintf("<0x%02X>", b)]
		_, raw := tokens[string([]byte{byte(b)})]
		if !hex && !raw {
			return fmt.Errorf("the token for byte 0x%02X is missing", b)
		}
	}
	return nil
}

// checkNamed wants the tokens that llama.cpp looks up in any model named so.
func checkNamed(f *gguf.File, tokens map[string]struct{}) error {
	kv, _ := f.KV("general.name")
	name, _ := kv.Text()
	name = strings.ToLower(name)
	if !strings.Contains(name, "phi3") && !strings.Contains(name, "phi-3") {
		return nil
	}
	for _, t := range []string{"</s>", "<unk>", "<s>", "<|endoftext|>"} {
		if _, ok := tokens[t]; !ok {
			return fmt.Errorf("token %s is missing, which a model with phi3 in its name needs", t)
		}
	}
	return nil
}

func checkSpecial(f *gguf.File, model string, n int) error {
	for _, name := range slices.Sorted(maps.Keys(specialIDs)) {
		key := "tokenizer.ggml." + name + "_token_id"
		id, assumed := specialIDs[name][model]
		if kv, ok := f.KV(key); ok {
			v, ok := kv.Uint32()
			if !ok || int64(v) >= int64(n) {
				return fmt.Errorf("%s is not one of %d tokens", key, n)
			}
			continue
		}
		if assumed && id >= n {
			return fmt.Errorf("%s is missing", key)
		}
	}
	return nil
}
