package fields

import (
	"fmt"
	"strings"
	"testing"
)

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

// What was meant is looked for only for fields that are told of, and once for each of them.
func TestSuggestionsAreBounded(t *testing.T) {
	const many = 2000
	var distinct, same strings.Builder
	distinct.WriteString(`{"n": 1`)
	same.WriteString(`{"messages": [{"role": "user"}`)
	for i := range many {
		fmt.Fprintf(&distinct, `, "temperatur%d": 1`, i)
		same.WriteString(`, {"contnet": 1}`)
	}
	for body, told := range map[string]int{distinct.String() + "}": mostIgnored, same.String() + "]}": 1} {
		made := testing.AllocsPerRun(1, func() {
			if ignored, err := Chat.Check([]byte(body), false); err != nil || len(ignored) != told || ignored[0].Suggestion == "" {
				t.Errorf("ignored are %v, %v", ignored, err)
			}
		})
		if made > 200_000 {
			t.Errorf("%v allocations for %d fields of %d bytes", made, many, len(body))
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
