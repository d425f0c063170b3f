package server

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/chat/template"
	"skerry/appliance/infer"
)

// spoilt fails on a second turn alone, at its fourth line.
const spoilt = `{%- for m in messages %}
{{- m.role + ': ' + m.content }}
{%- if loop.index > 1 %}
{{- m.content.nothing.more }}
{%- endif %}
{%- endfor %}`

// A template that cannot be rendered is an error that names the line, whether it cannot
// be parsed, renders nothing at all, or fails on this conversation; and never a prompt
// of another making. Plain prompts do without it.
func TestTemplateThatFails(t *testing.T) {
	one := []infer.Message{{Role: "user", Content: "a"}}
	two := append(slices.Clone(one), infer.Message{Role: "assistant", Content: "b"}, infer.Message{Role: "user", Content: "c"})
	tools := []infer.Tool{{Name: "f"}}
	for _, c := range []struct {
		source, line string
		messages     []infer.Message
		always       bool
	}{
		{"{% for m in messages %}\n{{ m.content | nosuch }}{% endfor %}", "line 2", one, true},
		{"\n\n{% endfor %}", "line 3", one, true},
		{"{{ nothing.more }}", "line 1", one, true},
		{"a\n{% for x in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}", "line 2", one, true},
		{spoilt, "line 4", two, false},
	} {
		m := &Model{}
		m.Template, m.TemplateErr = template.New(c.source, "<s>", "</s>")
		now := time.Now()
		if shown := m.templateError(now); (shown != "") != c.always || c.always && !strings.Contains(shown, c.line) {
			t.Errorf("%q: the status says %q", c.source, shown)
		}
		for _, offered := range [][]infer.Tool{nil, tools} {
			_, err := m.render(c.messages, infer.Request{Tools: offered})
			var e *infer.Error
			if !errors.As(err, &e) || e.Code != infer.Internal || !strings.Contains(e.Message, c.line) || strings.Contains(e.Message, "\n") {
				t.Errorf("%q: %v", c.source, err)
			}
		}
		if shown := m.templateError(now); !strings.Contains(shown, c.line) {
			t.Errorf("%q: after a failure the status says %q", c.source, shown)
		}
		if shown := m.templateError(time.Now().Add(2 * templateShown)); (shown != "") != c.always {
			t.Errorf("%q: long after the status says %q", c.source, shown)
		}
	}
}

// What a template itself refuses is the asker's to mend, and no fault of the model.
func TestTemplateThatRefuses(t *testing.T) {
	m := &Model{}
	m.Template, m.TemplateErr = template.New("{{ raise_exception('no system' ~ messages[0].nothing) }}", "", "")
	_, err := m.render([]infer.Message{{Role: "system", Content: "x"}}, infer.Request{})
	var e *infer.Error
	if !errors.As(err, &e) || e.Code != infer.BadRequest || !strings.Contains(e.Message, "no system") {
		t.Error(err)
	}
	if shown := m.templateError(time.Now()); shown != "" {
		t.Error(shown)
	}
}

// A model without a template is given the bare words.
func TestNoTemplate(t *testing.T) {
	m := &Model{}
	parts, err := m.render([]infer.Message{{Role: "user", Content: "a<|end|>"}}, infer.Request{})
	if want := []template.Part{{Text: "a<|end|>\n"}}; err != nil || !slices.Equal(parts, want) {
		t.Errorf("%+v %v", parts, err)
	}
	if _, err := m.render([]infer.Message{{Role: "user"}}, infer.Request{Tools: []infer.Tool{{Name: "f"}}}); err == nil {
		t.Error("tools pass without a template")
	}
}

// The daemon answers such a request with an error of its own, shows it in the status,
// and goes on with what needs no template.
func TestFailedTemplateIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.template, w.templateErr = template.New("\n{% if %}", "", "")
		c := begin(w, nil)
		ready(t, c)
		_, err := c.Ask(t.Context(), infer.Request{Messages: []infer.Message{{Role: "user", Content: "a"}}})
		var e *infer.Error
		if !errors.As(err, &e) || e.Code != infer.Internal || !strings.Contains(e.Message, "line 2") {
			t.Error(err)
		}
		if s := c.Snapshot(); s.Model == nil || !strings.Contains(s.Model.TemplateError, "line 2") {
			t.Errorf("%+v", s.Model)
		}
		if h := listen(t, ask(t, c, raw("", 3)), 0, 0); h.end.Finish != infer.Length {
			t.Errorf("a plain prompt ends with %q", h.end.Finish)
		}
		stop(t, c)
	})
}

// A conversation that could not be asked is not rendered: what the template makes of it says
// nothing of the template.
func TestRenderRefusesWhatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.template, w.templateErr = template.New("{{ messages[0].content }}{% if messages|length > 50 %}{{ nothing.more }}{% endif %}", "", "")
		c := begin(w, nil)
		ready(t, c)
		_, err := c.Render(t.Context(), infer.Request{Messages: slices.Repeat([]infer.Message{{Role: "user", Content: "a"}}, w.context+1)})
		wantCode(t, err, infer.TooLong, "101 messages")
		if s := c.Snapshot(); s.Model == nil || s.Model.TemplateError != "" {
			t.Errorf("%+v", s.Model)
		}
		stop(t, c)
	})
}

// A conversation that a template is not given the time and the memory for is too long, and no
// fault of the template. In virtual time, so that its steps end it, and not a busy machine.
func TestConversationBeyondTheTemplatesLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		every := "{% for a in messages %}"
		m := &Model{}
		m.Template, m.TemplateErr = template.New(strings.Repeat(every, 5)+strings.Repeat("{% endfor %}", 5)+"{{ messages[0].content }}", "", "")
		one := []infer.Message{{Role: "user", Content: "a"}}
		if _, err := m.render(one, infer.Request{}); err != nil {
			t.Fatal(err)
		}
		_, err := m.render(slices.Repeat(one, 60), infer.Request{})
		wantCode(t, err, infer.TooLong, "steps")
		if shown := m.templateError(time.Now()); shown != "" {
			t.Errorf("the status says %q", shown)
		}
		m.Template, m.TemplateErr = template.New("{% for i in range(3000000) %}{% endfor %}", "", "")
		if shown := m.templateError(time.Now()); !strings.Contains(shown, "steps") {
			t.Errorf("of a template that is always too much the status says %q", shown)
		}
	})
}
