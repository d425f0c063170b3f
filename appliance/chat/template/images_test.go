package template

import (
	"slices"
	"testing"

	"skerry/appliance/infer"
)

// An image stands where it was put, and words that look like its mark are words.
func TestImagesInParts(t *testing.T) {
	p := templateOf(t, `{% for m in messages %}{{ '<' + m.role + '>' + m.content | trim + '</>' }}{% endfor %}`)
	fake := markBegin + "0" + markEnd
	parts, err := p.RenderParts([]infer.Message{
		{Role: "user", Content: "ab" + fake, Images: []infer.Image{{At: 1}, {At: 2}}},
		{Role: "user", Images: []infer.Image{{At: 5}}},
	}, nil, true, nil)
	want := []Part{
		{Text: "<user>", Markup: true}, {Text: "a"}, {Text: "<image>", Markup: true, Image: 1}, {Text: "b"}, {Text: "<image>", Markup: true, Image: 2}, {Text: fake},
		{Text: "</><user>", Markup: true}, {Text: "<image>", Markup: true, Image: 3}, {Text: "</>", Markup: true},
	}
	if err != nil || !slices.Equal(parts, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, parts, want)
	}
}
