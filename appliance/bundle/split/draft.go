package split

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// draftSource is the model that becomes the bundle's draft.
type draftSource struct {
	f     *gguf.File
	path  string
	entry *bundle.Draft // but for the sha256
}

// openDraft checks the draft model at path and compares its tokens with those of f.
func openDraft(f *gguf.File, path, name string) (*draftSource, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	small, err := gguf.Open(real)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	d := &draftSource{f: small, path: real}
	if d.entry, err = describeDraft(f, small, name); err != nil {
		small.Close()
		return nil, err
	}
	return d, nil
}

func describeDraft(f, small *gguf.File, name string) (*bundle.Draft, error) {
	m, err := bundle.CheckDraft(small)
	if err != nil {
		return nil, err
	}
	tokens, ends, err := compareTokens(readTokens(f), readTokens(small))
	if err != nil {
		return nil, fmt.Errorf("%s cannot draft for %s: %w: take a smaller model of the same family", small.Name, f.Name, err)
	}
	file := filepath.Base(small.Name)
	if name == "" {
		name = strings.TrimSuffix(file, ".gguf")
	}
	return &bundle.Draft{
		File: bundle.DraftModel.File(), Bytes: small.Size, Name: name, Source: file,
		Architecture: m.Architecture, Blocks: m.Blocks, Embedding: m.Embedding, Vocab: m.Vocab, ContextLength: m.ContextLength,
		Tensors: bundle.TensorTypes(small), Tokens: tokens, Ends: ends,
	}, nil
}

// place puts the draft into dir, unchanged, and fills in its sha256.
func (d *draftSource) place(ctx context.Context, dir string, report func(done int64)) (err error) {
	if d.entry.SHA256, err = disk.HashReader(ctx, io.NewSectionReader(d.f, 0, d.f.Size), report); err != nil {
		return err
	}
	return disk.Clone(ctx, d.path, filepath.Join(dir, d.entry.File))
}

// tokens is the vocabulary of a model.
type tokens struct {
	model string // of the tokenizer
	texts []string
	real  int // tokens before the padding at the end
	ends  []endToken
}

type endToken struct {
	id   int32
	role bundle.EndRole
}

// Types of tokens: a word like any other, and one that only pads the vocabulary.
const (
	normal = 1
	unused = 5
)

// endTexts are the tokens that end a text, a turn or a message by what they are called;
// llama.cpp knows them so too.
var endTexts = map[string]bundle.EndRole{
	"<|endoftext|>": bundle.EndOfText, "<|end_of_text|>": bundle.EndOfText, "</s>": bundle.EndOfText, "<eos>": bundle.EndOfText,
	"<|im_end|>": bundle.EndOfTurn, "<|eot_id|>": bundle.EndOfTurn, "<|end|>": bundle.EndOfTurn, "<end_of_turn>": bundle.EndOfTurn,
	"<|end_of_turn|>": bundle.EndOfTurn, "<|eom_id|>": bundle.EndOfMessage,
}

// endKeys are the metadata keys of end tokens, and the role of one that has no name of
// its own.
var endKeys = []struct {
	key  string
	role bundle.EndRole
}{
	{"tokenizer.ggml.eos_token_id", bundle.EndOfText},
	{"tokenizer.ggml.eot_token_id", bundle.EndOfTurn},
	{"tokenizer.ggml.eom_token_id", bundle.EndOfMessage},
}

// readTokens reads the vocabulary of a checked model.
func readTokens(f *gguf.File) *tokens {
	v := &tokens{}
	model, _ := f.KV(gguf.KeyTokenizer)
	v.model, _ = model.Text()
	list, _ := f.KV(gguf.KeyTokens)
	for _, text := range list.Strings() {
		v.texts = append(v.texts, string(text))
	}
	v.real = len(v.texts)
	words := make([]bool, len(v.texts)) // "</s>" may be one, where it ends nothing
	if kinds, ok := f.KV(gguf.KeyTokenTypes); ok {
		v.real = 0
		for i, kind := range kinds.Int32s() {
			words[i] = kind == normal
			if kind != unused {
				v.real = i + 1
			}
		}
	}
	for _, k := range endKeys {
		kv, _ := f.KV(k.key)
		if id, ok := kv.Uint32(); ok && int(id) < len(v.texts) {
			role, named := endTexts[v.texts[id]]
			if !named {
				role = k.role
			}
			v.addEnd(int32(id), role)
		}
	}
	for i, text := range v.texts[:v.real] {
		if role, ok := endTexts[text]; ok && !words[i] {
			v.addEnd(int32(i), role)
		}
	}
	return v
}

func (v *tokens) addEnd(id int32, role bundle.EndRole) {
	if !v.isEnd(id) {
		v.ends = append(v.ends, endToken{id, role})
	}
}

func (v *tokens) isEnd(id int32) bool {
	return slices.ContainsFunc(v.ends, func(e endToken) bool { return e.id == id })
}

// end is the token of a role, or the one that the metadata name first.
func (v *tokens) end(role bundle.EndRole) int32 {
	for _, e := range v.ends {
		if e.role == role {
			return e.id
		}
	}
	return v.ends[0].id
}

// compareTokens wants every token of the two to have the same id and text, but for end
// tokens, which it maps by their role, and for padding at the end. It returns how many
// tokens they have in common; the error names the first that differs.
func compareTokens(model, draft *tokens) (common int, ends []bundle.EndToken, err error) {
	if model.model != draft.model {
		return 0, nil, fmt.Errorf("its tokenizer is %q, the model's %q", gguf.Short(draft.model), gguf.Short(model.model))
	}
	common = min(model.real, draft.real)
	for i := range common {
		a, b := model.texts[i], draft.texts[i]
		if a != b && !(model.isEnd(int32(i)) && draft.isEnd(int32(i))) {
			return 0, nil, fmt.Errorf("token %d is %q in it and %q in the model", i, gguf.Short(b), gguf.Short(a))
		}
	}
	for i := common; i < max(model.real, draft.real); i++ {
		in, where := model, "the model"
		if i < draft.real {
			in, where = draft, "it"
		}
		if !in.isEnd(int32(i)) {
			return 0, nil, fmt.Errorf("token %d, %q, is in %s alone", i, gguf.Short(in.texts[i]), where)
		}
	}
	ends, err = mapEnds(model, draft, common)
	return common, ends, err
}

// mapEnds gives each end token of either the other's that stands for it: the same token
// where both have it, else that of the same role.
func mapEnds(model, draft *tokens, common int) ([]bundle.EndToken, error) {
	switch {
	case len(draft.ends) == 0:
		return nil, fmt.Errorf("it has no token that ends a text")
	case len(model.ends) == 0:
		return nil, fmt.Errorf("the model has no token that ends a text")
	}
	same := func(id int32) bool { return int(id) < common && model.texts[id] == draft.texts[id] }
	var ends []bundle.EndToken
	for _, e := range draft.ends {
		to := e.id
		if !same(e.id) {
			to = model.end(e.role)
		}
		ends = append(ends, bundle.EndToken{Role: e.role, Draft: e.id, Model: to})
	}
	for _, e := range model.ends {
		if !slices.ContainsFunc(ends, func(o bundle.EndToken) bool { return o.Model == e.id }) {
			to := e.id
			if !same(e.id) {
				to = draft.end(e.role)
			}
			ends = append(ends, bundle.EndToken{Role: e.role, Draft: to, Model: e.id})
		}
	}
	return ends, nil
}
