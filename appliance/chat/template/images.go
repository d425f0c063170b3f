package template

import (
	"fmt"
	"strconv"
	"strings"

	"skerry/appliance/chat/jinja"
	"skerry/appliance/infer"
)

// A mark stands for an image while a template is rendered. It is the program's own text: the
// same letters in somebody's words are words.
const (
	markBegin = "\uE0F0image "
	markEnd   = "\uE0F1"
)

// contentOf is a message's content with marks where its images are, the first of them of a
// number.
func contentOf(m infer.Message, first int) jinja.Text {
	var all jinja.Text
	at := 0
	for i, img := range m.Images {
		to := min(max(img.At, at), len(m.Content))
		all = jinja.Join(all, jinja.Foreign(m.Content[at:to]), jinja.Own(fmt.Sprint(markBegin, first+i, markEnd)))
		at = to
	}
	return jinja.Join(all, jinja.Foreign(m.Content[at:]))
}

// Content is a message as it is, cut where its images are; of the images the first has a number.
func Content(m infer.Message, first int) []Part { return partsOf(contentOf(m, first)) }

// partsOf a rendered text.
func partsOf(text jinja.Text) (parts []Part) {
	for _, p := range text.Parts() {
		if p.Foreign {
			parts = append(parts, Part{Text: p.Text})
			continue
		}
		for own := p.Text; own != ""; {
			before, rest, found := strings.Cut(own, markBegin)
			number, after, ended := strings.Cut(rest, markEnd)
			n, err := strconv.Atoi(number)
			if !found || !ended || err != nil {
				parts = append(parts, Part{Text: own, Markup: true})
				break
			}
			if before != "" {
				parts = append(parts, Part{Text: before, Markup: true})
			}
			parts, own = append(parts, Part{Text: "<image>", Markup: true, Image: n + 1}), after
		}
	}
	return parts
}
