package template

import (
	"skerry/appliance/infer"
)

// Part of a prompt. Only with Markup may control tokens written out in it be recognized
// when it is tokenized: it is the template's own text. Without, it is somebody's words.
type Part struct {
	Text   string
	Markup bool
	// Image is the number of the image that stands here, counted from 1 over all messages; 0:
	// it is text.
	Image int
}

// RenderParts is Render, cut where the template's own text meets the messages': their
// contents, and what of tools and calls might hold a control token. Its texts joined
// are Render's. Which text is whose goes along with it through everything that the
// template does, and is not marked in it, so that there is no text that may not be in
// a message.
func (t *Template) RenderParts(m []infer.Message, tools []infer.Tool, addGeneration bool, extra map[string]any) ([]Part, error) {
	text, err := t.rendered(m, tools, addGeneration, extra)
	if err != nil {
		return nil, err
	}
	return partsOf(text), nil
}
