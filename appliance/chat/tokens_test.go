package chat

import (
	"slices"
	"strings"
	"testing"

	"skerry/appliance/chat/template"
)

// bytesVocab has a token a byte, 1000 at the beginning of a text where bos is set, and
// 1001 for each ⊢ where markup is recognized.
type bytesVocab struct{ bos bool }

func (v bytesVocab) Tokenize(text string, special, markup bool) (ids []int32, err error) {
	if special && v.bos {
		ids = append(ids, 1000)
	}
	for i, plain := range strings.Split(text, "⊢") {
		if i > 0 && markup {
			ids = append(ids, 1001)
		} else if i > 0 {
			plain = "⊢" + plain
		}
		if b, ok := strings.CutPrefix(plain, "<s>"); ok && markup {
			ids, plain = append(ids, 1000), b
		}
		for _, b := range []byte(plain) {
			ids = append(ids, int32(b))
		}
	}
	return ids, nil
}

func TestRawTokens(t *testing.T) {
	for _, c := range []struct {
		bos  bool
		text string
		want []int32
	}{
		{false, "⊢a", []int32{1001, 'a'}},
		{true, "⊢a", []int32{1000, 1001, 'a'}},
		{true, "<s>a", []int32{1000, 'a'}}, // written out, and added by the tokenizer
		{false, "<s>a", []int32{1000, 'a'}},
		{false, "aab", []int32{'a', 'a', 'b'}}, // twice, and no beginning of a text
		{true, "aab", []int32{1000, 'a', 'a', 'b'}},
	} {
		got, err := RawTokens(bytesVocab{c.bos}, c.text)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v %q: %v, %v, want %v", c.bos, c.text, got, err, c.want)
		}
	}
	got, err := Tokens(bytesVocab{true}, []template.Part{{Text: "<s>⊢", Markup: true}, {Text: "a⊢"}})
	if err != nil || !slices.Equal(got, append([]int32{1000, 1001, 'a'}, []int32{0xe2, 0x8a, 0xa2}...)) {
		t.Errorf("a conversation is %v, %v", got, err)
	}
}

func TestInfillTokens(t *testing.T) {
	mark := Infill{Prefix: 1, Suffix: 2, Middle: 3}
	for bos, want := range map[bool][]int32{false: {1, 'a', 2, 'b', 3}, true: {1000, 1, 'a', 2, 'b', 3}} {
		got, err := InfillTokens(bytesVocab{bos}, mark, "a", "b")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	got, _ := InfillTokens(bytesVocab{}, mark, "", "⊢")
	if !slices.Equal(got, []int32{1, 2, 0xe2, 0x8a, 0xa2, 3}) {
		t.Errorf("what stands around is %v: it is plain text", got)
	}
}

// An image stands where it is shown first, once: a template's argument that writes its mark again
// has it not read twice.
func TestImageTokens(t *testing.T) {
	const row = 1 << 30
	parts := []template.Part{{Text: "a"}, {Text: "<image>", Markup: true, Image: 2}, {Text: "b"}, {Text: "<image>", Markup: true, Image: 1}, {Text: "<image>", Markup: true, Image: 2}, {Text: "<", Markup: true, Image: 3}}
	images := [][]int32{{row}, {row + 5, row + 6}}
	got, err := Tokens(bytesVocab{}, parts, images...)
	if want := []int32{'a', row + 5, row + 6, 'b', row, '<'}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if len(images[1]) != 2 {
		t.Error("the images were changed")
	}
}
