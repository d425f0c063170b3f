package template

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// conversation is one of testdata/conversations.json, in the form of OpenAI's API.
type conversation struct {
	Messages []struct {
		infer.Message
		ToolCalls []struct {
			ID       string
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	Tools []struct{ Function infer.Tool }
}

func (c conversation) messages() (all []infer.Message) {
	for _, m := range c.Messages {
		x := m.Message
		for _, call := range m.ToolCalls {
			x.ToolCalls = append(x.ToolCalls, infer.ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments})
		}
		all = append(all, x)
	}
	return all
}

func (c conversation) tools() (all []infer.Tool) {
	for _, t := range c.Tools {
		all = append(all, t.Function)
	}
	return all
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func template(t testing.TB, name string) *Template {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	return templateOf(t, string(b))
}

func templateOf(t testing.TB, source string) *Template {
	t.Helper()
	p, err := New(source, "<s>", "</s>")
	if err != nil {
		t.Fatal(err)
	}
	p.now = fixedTime
	return p
}

func fixedTime() time.Time { return time.Date(2026, 11, 26, 5, 30, 0, 0, time.UTC) }

// rendered.json is what Jinja2 makes of the same templates and conversations (render.py), with the
// settings of Hugging Face.
func TestTemplatesAsInPython(t *testing.T) {
	conversations, want := map[string]conversation{}, map[string]string{}
	readJSON(t, "conversations.json", &conversations)
	readJSON(t, "rendered.json", &want)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		name, which, _ := strings.Cut(key, "/")
		p, c := template(t, name), conversations[which]
		text, err := p.render(c.messages(), c.tools(), true, nil)
		got := text.String()
		if reason, ok := strings.CutPrefix(want[key], "error: "); ok {
			var e *infer.Error
			if !errors.As(err, &e) || e.Code != infer.BadRequest || !strings.Contains(e.Message, reason) {
				t.Errorf("%s: %v, want %s", key, err, reason)
			}
			continue
		}
		if err != nil || got != want[key] {
			t.Errorf("%s: %v\n got %q\nwant %q", key, err, got, want[key])
		}
	}
}
