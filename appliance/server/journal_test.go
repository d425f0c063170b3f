package server

import (
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// A conversation has the name of its first question, however it goes on.
func TestTitle(t *testing.T) {
	long := strings.Repeat("wörd ", 40)
	for _, c := range []struct {
		want string
		said []infer.Message
	}{
		{"Who is Ada?", []infer.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: " Who\n is  Ada?"}, {Role: "assistant", Content: "A poet's daughter."}, {Role: "user", Content: "And he?"}}},
		{"And this?", []infer.Message{{Role: "user", Content: " \n"}, {Role: "user", Content: "And this?"}}},
		{"", []infer.Message{{Role: "assistant", Content: "Hello."}}},
		{string([]rune(long)[:79]) + "…", []infer.Message{{Role: "user", Content: long}}},
	} {
		if got, _ := (Record{Messages: c.said}).Summary(); got.Title != c.want {
			t.Errorf("%q, not %q", got.Title, c.want)
		}
	}
}
