package chat

import (
	"slices"

	"skerry/appliance/chat/template"
)

// Tokenizer is a model's; *engine.Vocab is one. Special adds what the model wants at the
// beginning of a text; with markup control tokens written out in it are recognized.
type Tokenizer interface {
	Tokenize(text string, special, markup bool) ([]int32, error)
}

// Tokens of a rendered conversation: control tokens are those of its markup alone. The images
// in it are what images has of them, in their order, each where it is shown first.
func Tokens(v Tokenizer, parts []template.Part, images ...[]int32) ([]int32, error) {
	var ids []int32
	images = slices.Clone(images)
	for i, p := range parts {
		text, inserted := p.Text, []int32(nil)
		if p.Image > 0 && p.Image <= len(images) {
			text, inserted = "", images[p.Image-1]
			images[p.Image-1] = nil
		}
		more, err := v.Tokenize(text, i == 0, p.Markup)
		if err != nil {
			return nil, err
		}
		ids = append(append(ids, more...), inserted...)
	}
	if len(ids) < 2 || !parts[0].Markup || ids[0] != ids[1] {
		return ids, nil
	}
	// The beginning of a text may be there twice, by the tokenizer and by the template.
	lead, err := v.Tokenize("", true, false)
	if err == nil && len(lead) > 0 && lead[0] == ids[0] {
		ids = ids[1:]
	}
	return ids, err
}

// RawTokens are those of a prompt that is the whole of what the model reads: its control
// tokens are meant.
func RawTokens(v Tokenizer, prompt string) ([]int32, error) {
	return Tokens(v, []template.Part{{Text: prompt, Markup: true}})
}

// Infill are the control tokens around the parts of a prompt whose middle is wanted.
type Infill struct{ Prefix, Suffix, Middle int32 }

// InfillTokens are those of a prompt to fill in between two texts, which are plain: first
// what stands before, then what stands behind (Bavarian et al. 2022, arXiv 2207.14255).
func InfillTokens(v Tokenizer, mark Infill, before, behind string) ([]int32, error) {
	ids, err := v.Tokenize("", true, false)
	if err != nil {
		return nil, err
	}
	front, err := v.Tokenize(before, false, false)
	if err != nil {
		return nil, err
	}
	back, err := v.Tokenize(behind, false, false)
	if err != nil {
		return nil, err
	}
	ids = append(ids, mark.Prefix)
	ids = append(ids, front...)
	ids = append(ids, mark.Suffix)
	ids = append(ids, back...)
	return append(ids, mark.Middle), nil
}
