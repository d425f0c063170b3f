package fields

import "testing"

func TestSuggest(t *testing.T) {
	for path, want := range map[string]string{
		"temperatur": "temperature", "tempertaure": "temperature", "topP": "top_p", "x": "", "seeed": "seed", "options": "",
		"messages[].contnet": "messages[].content", "a_name_that_nothing_has": "",
	} {
		if got := Chat.Suggest(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, one := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"ab", "ba", 1}, {"abc", "", 3}, {"kitten", "sitting", 3}} {
		if got := distance(one.a, one.b); got != one.want {
			t.Errorf("%s and %s: %d, want %d", one.a, one.b, got, one.want)
		}
	}
}

// Check takes any JSON.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{}`, `{"messages":[{"content":[{"type":1}]}]}`, `[]`, `{"options":null,"n":2}`, `{"tools":[1]}`, `{"":{"":""}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, table := range Tables {
			for _, strict := range []bool{false, true} {
				if ignored, _ := table.Check(body, strict); len(ignored) > mostIgnored {
					t.Errorf("%d are ignored", len(ignored))
				}
			}
		}
	})
}
