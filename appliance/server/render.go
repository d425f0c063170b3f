package server

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/chat/template"
	"skerry/appliance/infer"
)

// render makes the prompt by the model's template, or, where the model has none, of the
// bare words. A template that cannot be rendered is never replaced by another: what comes
// out would be a prompt that the model was not trained on, and nobody would know.
func (m *Model) render(messages []infer.Message, r infer.Request) ([]template.Part, error) {
	tools := r.Tools
	if m.Template != nil {
		goesOn := r.Continue && len(messages) > 0 && strings.TrimSpace(messages[len(messages)-1].Content) != ""
		parts, err := m.Template.RenderParts(messages, tools, !goesOn, r.TemplateArgs)
		if err == nil && goesOn {
			return upTo(parts, messages[len(messages)-1].Content)
		}
		var e *infer.Error
		if err != nil && (!errors.As(err, &e) || e.Code == infer.Internal) {
			m.templateFailed.note(err, time.Now())
		}
		return parts, err
	}
	if m.TemplateErr != nil {
		return nil, infer.Errorf(infer.Internal, "messages", "the model's chat template cannot be used: %s; a plain prompt (raw) or another model would do", oneLine(m.TemplateErr))
	}
	if len(tools) > 0 {
		return nil, infer.Errorf(infer.BadRequest, "tools", "this model has no chat template, and so knows no tools: ask without them, or take another model")
	}
	var parts []template.Part
	images := 0
	for _, x := range messages {
		x.Content += "\n"
		parts = append(parts, template.Content(x, images)...)
		images += len(x.Images)
	}
	if n := len(parts); n > 0 && r.Continue {
		parts[n-1].Text = strings.TrimSuffix(parts[n-1].Text, "\n")
	}
	return parts, nil
}

// upTo is a rendered conversation up to the end of its last message, which the answer is to
// go on with. Templates may leave out the space around a message.
func upTo(parts []template.Part, message string) ([]template.Part, error) {
	bare := strings.TrimSpace(message)
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i].Markup {
			continue
		}
		at := strings.LastIndex(parts[i].Text, bare)
		if at < 0 {
			continue
		}
		end := at + len(bare)
		if space := message[strings.LastIndex(message, bare)+len(bare):]; strings.HasPrefix(parts[i].Text[end:], space) {
			end += len(space)
		}
		return append(slices.Clip(parts[:i]), template.Part{Text: parts[i].Text[:end]}), nil
	}
	return nil, infer.Errorf(infer.BadRequest, "messages", "the model's chat template does not show the last message as it is, so that the answer cannot go on with it: end with a message of the user")
}

// templateFailure is the last rendering that failed.
type templateFailure struct {
	mu  sync.Mutex // guards all following fields
	err error
	at  time.Time
}

func (f *templateFailure) note(err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.at = err, now
}

// templateShown is how long a failure is shown after a rendering has failed.
const templateShown = 10 * time.Minute

// templateError says why the template cannot be used, or lately could not be rendered;
// "" where nothing is wrong.
func (m *Model) templateError(now time.Time) string {
	switch {
	case m.TemplateErr != nil:
		return oneLine(m.TemplateErr)
	case m.Template != nil && m.Template.Problem() != nil:
		return oneLine(m.Template.Problem())
	}
	f := &m.templateFailed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || now.Sub(f.at) > templateShown {
		return ""
	}
	return oneLine(f.err)
}
