// Package template renders a conversation by a model's own chat template, and says of each
// part of the prompt whether it is the template's text or somebody's words (parts.go).
// values.go has messages and tools as templates know them; the language is package jinja's.
package template

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/chat/jinja"
	"skerry/appliance/chat/tools"
	"skerry/appliance/infer"
)

// Template is a model's chat template (tokenizer.chat_template of its GGUF, Jinja). It
// may be used from several goroutines.
type Template struct {
	source, bos, eos string
	program          *jinja.Template
	tools            bool // it shows tools
	lists            bool // it takes contents as lists of parts alone
	problem          error
	now              func() time.Time
}

// New parses a template. The texts of the BOS and EOS tokens are what it calls
// bos_token and eos_token. It may come from anywhere: it reaches no file, and what it
// may build and how long it may run are limited. The error names the line.
func New(source string, bos, eos string) (*Template, error) {
	t := &Template{source: source, bos: bos, eos: eos, now: time.Now}
	if source == "" {
		return nil, fmt.Errorf("the model has no chat template: give it plain text (--raw)")
	}
	var err error
	if t.program, err = jinja.Parse(source); err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	t.probe()
	return t, nil
}

// Render is the whole prompt as one text, for showing. To tokenize take RenderParts.
// Extra variables are the template's own, as enable_thinking. What the template says
// of a conversation it refuses comes as a BadRequest, and one that takes more than a rendering
// may as TooLong; where it cannot be rendered the error is Internal and names the template's
// line.
func (t *Template) Render(m []infer.Message, tools []infer.Tool, addGeneration bool, extra map[string]any) (string, error) {
	text, err := t.rendered(m, tools, addGeneration, extra)
	return text.String(), err
}

// rendered puts tools that the template would not show into a system message.
func (t *Template) rendered(m []infer.Message, offered []infer.Tool, addGeneration bool, extra map[string]any) (jinja.Text, error) {
	if len(offered) > 0 && !t.tools {
		m, offered = tools.Describe(m, offered), nil
	}
	return t.render(m, offered, addGeneration, extra)
}

// render has the variables that Hugging Face gives: what there is none of is None.
func (t *Template) render(m []infer.Message, tools []infer.Tool, addGeneration bool, extra map[string]any) (jinja.Text, error) {
	if len(m) == 0 {
		return jinja.Text{}, infer.Errorf(infer.BadRequest, "messages", "there are no messages: give at least one")
	}
	messages, err := messagesOf(m, t.Style(), t.lists)
	if err != nil {
		return jinja.Text{}, err
	}
	vars := map[string]jinja.Value{
		"messages": messages, "tools": nil, "documents": nil, "add_generation_prompt": addGeneration,
		"bos_token": jinja.Own(t.bos), "eos_token": jinja.Own(t.eos),
	}
	if len(tools) > 0 {
		if vars["tools"], err = toolsOf(tools); err != nil {
			return jinja.Text{}, err
		}
	}
	for name, v := range extra {
		vars[name] = extraOf(v)
	}
	text, err := t.program.Render(vars, t.now)
	return text, told(err)
}

// told is an error of a rendering as it is answered: what the template itself says of
// the conversation is the asker's to mend, and so is a conversation that takes more than a
// rendering may; anything else is not.
func told(err error) error {
	var refusal *jinja.Refusal
	var limit *jinja.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &limit) && limit.Limit:
		return infer.Errorf(infer.TooLong, "messages", "the conversation is too much for the model's chat template: %v; send less of it, or a plain prompt (raw)", err)
	case errors.As(err, &refusal):
		return infer.Errorf(infer.BadRequest, "messages", "the model's chat template refuses this conversation: %s", refusal.Message)
	}
	return infer.Errorf(infer.Internal, "messages", "the model's chat template cannot be rendered: %v; a plain prompt (raw) or another model would do", err)
}

// KnowsTools reports whether the template shows tools to the model. Where it does not,
// RenderParts describes them in a system message.
func (t *Template) KnowsTools() bool { return t.tools }

// Style is how the model writes tool calls. One without a template (t is nil), or whose
// template shows no tools, is told to write JSON.
func (t *Template) Style() tools.Style {
	if t == nil || !t.tools {
		return tools.JSON
	}
	return tools.StyleOf(t.source)
}

// Problem is why the template could not render the smallest conversations, with the line;
// nil where it could, or where all it did was to refuse them.
func (t *Template) Problem() error {
	if t == nil {
		return nil
	}
	return t.problem
}

// probe finds out what the template takes, from what it makes of small conversations.
func (t *Template) probe() {
	const words = "probe of words"
	m := []infer.Message{{Role: "user", Content: words}}
	text, err := t.render(m, nil, true, nil)
	if err != nil || !strings.Contains(text.String(), words) {
		lists := *t
		lists.lists = true
		if text, again := lists.render(m, nil, true, nil); again == nil && strings.Contains(text.String(), words) && !strings.Contains(text.String(), "'type'") {
			t.lists, err = true, nil
		}
	}
	t.tools = t.showsTools()
	var e *infer.Error
	if errors.As(err, &e) && (e.Code == infer.Internal || e.Code == infer.TooLong) && !t.tools { // a small one is never too long
		t.problem = err
	}
}

// showsTools renders with a tool and looks for it.
func (t *Template) showsTools() bool {
	const name = "probe_tool_name"
	m := []infer.Message{{Role: "user", Content: "hello"}}
	text, err := t.render(m, []infer.Tool{{Name: name, Description: name}}, true, nil)
	return err == nil && strings.Contains(text.String(), name)
}
