package conversation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

func TestEvents(t *testing.T) {
	var b bytes.Buffer
	e := newEvents(&b)
	e.begin("s", 3, []int32{7})
	e.token(infer.Token{ID: 8, Text: "x"})
	e.end(transcript{Finish: infer.Length, Provenance: infer.Provenance{Lost: "gone for now", Returned: 2}})
	var got []string
	for line := range strings.Lines(b.String()) {
		var v Event
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprint(v.Event, v.Session, v.Prompt, v.Said, v.Index, v.Finish, v.Lost, v.Resumed)
		if v.Token != nil {
			s += v.Token.Text
		}
		got = append(got, s)
	}
	want := []string{"begins3 [7] 10", "token0 [] 10x", "end0 [] 2lengthgone for now2"}
	if len(got) != 3 {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if strings.ReplaceAll(got[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
			t.Errorf("line %d: %q, want %q", i, got[i], want[i])
		}
	}
}
