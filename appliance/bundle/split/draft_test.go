package split

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/synth"
)

// smaller makes a model of two blocks with the tokens of shape tiny.
func smaller(t *testing.T) string {
	t.Helper()
	s, err := synth.ShapeNamed("tiny")
	if err != nil {
		t.Fatal(err)
	}
	s.Blocks = 2
	path := filepath.Join(t.TempDir(), "small.gguf")
	if err := s.Write(t.Context(), "small", path, synth.Options{Seed: 2, Type: "q4_0"}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDraft(t *testing.T) {
	src, small, dir := bundletest.Synth(t, "tiny", "q4_0"), smaller(t), filepath.Join(t.TempDir(), "b")
	m := split(t, src, dir, Options{Exits: []int{2, 4}, Draft: small, Parity: parityOK})
	without := split(t, src, filepath.Join(t.TempDir(), "c"), Options{Exits: []int{2, 4}, Parity: parityOK})
	if m.ID() != without.ID() || without.Draft != nil || without.Format != bundle.Format || m.Format != bundle.FormatDraft {
		t.Errorf("formats %d and %d, ids %x and %x", m.Format, without.Format, m.ID(), without.ID())
	}
	d := m.Draft
	if d == nil || d.Name != "small" || d.Source != "small.gguf" || d.Blocks != 2 || d.Architecture != "llama" || d.Tokens != 512 || len(d.Ends) == 0 {
		t.Fatalf("%+v", d)
	}
	same(t, small, filepath.Join(dir, "draft.gguf"))
	if _, err := bundle.Open(t.Context(), dir); err != nil {
		t.Error(err)
	}
	in, err := bundle.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := in.Files[len(in.Files)-1]
	if in.DraftBytes != d.Bytes || in.DraftRatio <= 0 || in.DraftRatio >= 1 || last.Role != bundle.DraftModel || !last.Present || last.VocabBytes == 0 || len(in.Blocks) != 6 {
		t.Errorf("%+v", in)
	}
	b := &bundle.Bundle{Dir: dir, Manifest: m}
	if !slices.ContainsFunc(b.Served(), func(f bundle.ServedFile) bool { return f.Name == "draft.gguf" && !f.Extra }) {
		t.Error("the draft is not served")
	}
	if err := b.Unserved(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "draft.gguf")); err != nil {
		t.Fatal(err)
	}
	if err := b.Unserved(); b.Served() != nil || !errors.Is(err, bundle.ErrMissing) || !strings.Contains(err.Error(), "draft.gguf") {
		t.Errorf("a bundle is served whose draft is missing: %v", err)
	}
}

func TestDraftRefused(t *testing.T) {
	src, small := bundletest.Synth(t, "tiny", "q4_0"), smaller(t)
	other := bundletest.Edit(t, small, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		kv, _ := bundletest.Open(t, small).KV(gguf.KeyTokens)
		var texts []string
		for _, text := range kv.Strings() {
			texts = append(texts, string(text))
		}
		texts[300] = "something else"
		return bundletest.Set(kvs, gguf.StringsKV(gguf.KeyTokens, texts)), outs
	})
	dir := filepath.Join(t.TempDir(), "b")
	for name, c := range map[string]struct{ draft, want string }{
		"another token":     {other, `token 300 is "something else" in it`},
		"another tokenizer": {bundletest.Synth(t, "tiny-qwen2", "q4_0"), `its tokenizer is "gpt2", the model's "llama"`},
		"no model":          {filepath.Join(t.TempDir(), "none.gguf"), "check the path"},
	} {
		_, err := Model(t.Context(), src, dir, Options{Draft: c.draft})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a bundle was left: %v", err)
	}
}

// vocabulary has words, each under its number, and named tokens behind them.
func vocabulary(words int, named ...string) *tokens {
	v := &tokens{model: "gpt2"}
	for i := range words {
		v.texts = append(v.texts, fmt.Sprint("word ", i))
	}
	for _, text := range named {
		if role, ok := endTexts[text]; ok {
			v.addEnd(int32(len(v.texts)), role)
		}
		v.texts = append(v.texts, text)
	}
	v.real = len(v.texts)
	return v
}

// padded adds tokens that are never said.
func padded(v *tokens, n int) *tokens {
	for i := range n {
		v.texts = append(v.texts, fmt.Sprint("[PAD", i, "]"))
	}
	return v
}

func TestCompareTokens(t *testing.T) {
	turn := []bundle.EndToken{{Role: bundle.EndOfTurn, Draft: 5, Model: 5}}
	for name, c := range map[string]struct {
		model, draft *tokens
		common       int
		ends         []bundle.EndToken
		want         string
	}{
		"equal":          {vocabulary(5, "<|im_end|>"), vocabulary(5, "<|im_end|>"), 6, turn, ""},
		"padding":        {padded(vocabulary(5, "<|im_end|>"), 3), padded(vocabulary(5, "<|im_end|>"), 9), 6, turn, ""},
		"roles":          {vocabulary(5, "<|endoftext|>", "<|im_end|>"), vocabulary(5, "<|im_end|>", "<|endoftext|>"), 7, []bundle.EndToken{{Role: bundle.EndOfTurn, Draft: 5, Model: 6}, {Role: bundle.EndOfText, Draft: 6, Model: 5}}, ""},
		"one for two":    {vocabulary(5, "<|eot_id|>"), vocabulary(5, "<|im_end|>", "<|endoftext|>"), 6, []bundle.EndToken{{Role: bundle.EndOfTurn, Draft: 5, Model: 5}, {Role: bundle.EndOfText, Draft: 6, Model: 5}}, ""},
		"two for one":    {vocabulary(5, "</s>", "<|im_end|>"), vocabulary(5, "</s>"), 6, []bundle.EndToken{{Role: bundle.EndOfText, Draft: 5, Model: 5}, {Role: bundle.EndOfTurn, Draft: 5, Model: 6}}, ""},
		"a word more":    {vocabulary(5, "</s>"), vocabulary(5, "</s>", "more"), 0, nil, `token 6, "more", is in it alone`},
		"a word fewer":   {vocabulary(5, "</s>", "more"), padded(vocabulary(5, "</s>"), 4), 0, nil, `token 6, "more", is in the model alone`},
		"another word":   {vocabulary(5, "one", "</s>"), vocabulary(5, "two", "</s>"), 0, nil, `token 5 is "two" in it and "one" in the model`},
		"an end, a word": {vocabulary(5, "one", "</s>"), vocabulary(5, "</s>"), 0, nil, `token 5 is "</s>" in it and "one" in the model`},
		"no end":         {vocabulary(5), vocabulary(5), 0, nil, "it has no token that ends"},
	} {
		common, ends, err := compareTokens(c.model, c.draft)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || common != c.common || !slices.Equal(ends, c.ends) {
			t.Errorf("%s: %d, %+v, %v", name, common, ends, err)
		}
	}
}

// The vocabulary is read with its padding and its end tokens, by their keys and names.
func TestReadTokens(t *testing.T) {
	src := bundletest.Synth(t, "tiny-qwen2", "q4_0")
	const words = 300 // a token that is called as one that ends a text, and is a word
	f := bundletest.Open(t, bundletest.Edit(t, src, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		kv, _ := bundletest.Open(t, src).KV(gguf.KeyTokenTypes)
		var kinds []int32
		for i, kind := range kv.Int32s() {
			if i >= 500 {
				kind = unused
			}
			if i == words {
				kind = normal
			}
			kinds = append(kinds, kind)
		}
		list, _ := bundletest.Open(t, src).KV(gguf.KeyTokens)
		var texts []string
		for _, text := range list.Strings() {
			texts = append(texts, string(text))
		}
		texts[words] = "</s>"
		return bundletest.Set(kvs, gguf.StringsKV(gguf.KeyTokens, texts), gguf.Int32sKV(gguf.KeyTokenTypes, kinds), gguf.Uint32KV("tokenizer.ggml.eos_token_id", 3)), outs
	}))
	v := readTokens(f)
	if v.model != "gpt2" || v.real != 500 || len(v.texts) != 512 {
		t.Errorf("%s, %d of %d tokens", v.model, v.real, len(v.texts))
	}
	names := map[bundle.EndRole]string{}
	for _, e := range v.ends[1:] {
		names[e.role] = v.texts[e.id]
	}
	if v.ends[0] != (endToken{3, bundle.EndOfText}) || names[bundle.EndOfText] != "<|endoftext|>" || names[bundle.EndOfTurn] != "<|im_end|>" || len(v.ends) != 3 {
		t.Errorf("%+v", v.ends)
	}
}

// TestPair compares the two models of a real pair, where make pair has fetched them.
func TestPair(t *testing.T) {
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	read := func(name string) *tokens {
		found, _ := filepath.Glob(filepath.Join(cache, "models", "*", name))
		if len(found) == 0 {
			t.Skipf("skipped: %s is not in the cache, make pair fetches it", name)
		}
		return readTokens(bundletest.Open(t, found[0]))
	}
	model, draft := read("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"), read("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
	common, ends, err := compareTokens(model, draft)
	want := []bundle.EndToken{{Role: bundle.EndOfTurn, Draft: 151645, Model: 151645}, {Role: bundle.EndOfText, Draft: 151643, Model: 151643}}
	if err != nil || common != 151665 || !slices.Equal(ends, want) {
		t.Errorf("%d tokens in common, ends %+v: %v", common, ends, err)
	}
}

// A bundle is given a draft, and another in its place; one with other tokens is refused, and the
// bundle stays as it was.
func TestSetDraft(t *testing.T) {
	src, dir := bundletest.Synth(t, "tiny", "q4_0"), filepath.Join(t.TempDir(), "b")
	m := split(t, src, dir, Options{Exits: []int{2, 4}, Parity: parityOK})
	b := &bundle.Bundle{Dir: dir, Manifest: m}
	set := func(path string) error {
		return SetDraft(t.Context(), b, "small", func(w io.Writer) error {
			text, err := os.ReadFile(path)
			if err == nil {
				_, err = w.Write(text)
			}
			return err
		})
	}
	for _, small := range []string{smaller(t), src} {
		if err := set(small); err != nil {
			t.Fatal(err)
		}
		same(t, small, filepath.Join(dir, "draft.gguf"))
		opened, err := bundle.Open(t.Context(), dir, bundle.DraftModel)
		if err != nil || opened.Manifest.ID() != m.ID() || opened.Manifest.Draft.Name != "small" {
			t.Fatalf("%+v: %v", opened, err)
		}
	}
	stranger := bundletest.Edit(t, smaller(t), func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
		return bundletest.Set(kvs, gguf.StringKV(gguf.KeyTokenizer, "gpt2")), outs
	})
	if err := set(stranger); err == nil {
		t.Error("a draft with another tokenizer is taken")
	}
	same(t, src, filepath.Join(dir, "draft.gguf"))
	if _, err := bundle.Open(t.Context(), dir, bundle.DraftModel); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}
