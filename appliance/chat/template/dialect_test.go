package template

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/chat/jinja"
	"skerry/appliance/chat/tools"
)

// dialect.json has constructs of Jinja2 and what it makes of them (render.py): one that
// is rendered otherwise is another prompt than the model was trained on.
func TestDialectAsInPython(t *testing.T) {
	conversations, want := map[string]conversation{}, map[string]string{}
	readJSON(t, "conversations.json", &conversations)
	readJSON(t, "dialect.json", &want)
	messages, err := messagesOf(conversations["system"].messages(), tools.JSON, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range slices.Sorted(maps.Keys(want)) {
		text, err := jinjaOf(source, messages)
		if strings.HasPrefix(want[source], "error: ") {
			if err == nil {
				t.Errorf("%s\n got %q\nwant %s", source, text, want[source])
			}
			continue
		}
		if err != nil || text != want[source] {
			t.Errorf("%s\n got %q %v\nwant %q", source, text, err, want[source])
		}
	}
}

func jinjaOf(source string, messages jinja.Value) (string, error) {
	p, err := jinja.Parse(source)
	if err != nil {
		return "", err
	}
	text, err := p.Render(map[string]jinja.Value{"messages": messages}, fixedTime)
	return text.String(), err
}
