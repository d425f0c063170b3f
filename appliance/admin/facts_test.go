package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

func TestSessionFacts(t *testing.T) {
	s := Session{Session: status.Session{ID: "trip", State: "cut", Kept: true}, Bytes: 2000, Unfinished: true}
	if got := fmt.Sprint(s.Facts(time.Now())); !strings.Contains(got, "[state cut, with an answer that is not finished]") || !strings.Contains(got, "[kept yes, 2.0 kB]") {
		t.Error(got)
	}
	s.State, s.Kept = "decoding", false // of which nothing is to be said
	if got := fmt.Sprint(s.Facts(time.Now())); !strings.Contains(got, "[state decoding]") || !strings.Contains(got, "[kept no, it ends with its answer]") {
		t.Error(got)
	}
}

// A gist is one line that does nothing to a terminal, cut where it is long, with what is called.
func TestGist(t *testing.T) {
	for want, m := range map[string]infer.Message{
		"user:      two lines":                        {Role: "user", Content: "two\n lines "},
		"assistant: [calls f(1)]":                     {Role: "assistant", ToolCalls: []infer.ToolCall{{Name: "f", Arguments: json.RawMessage("1")}}},
		"a?:        " + strings.Repeat("x", 63) + "…": {Role: "a\x1b", Content: strings.Repeat("x", 65)},
	} {
		if got := Gist(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
