package ask

import (
	"testing"

	"github.com/tmaxmax/go-sse"

	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// What the daemon takes back after a cut is forgotten, and comes anew.
func TestAnswerIsTakenBack(t *testing.T) {
	q := New("s", 200)
	for _, e := range []sse.Event{
		{LastEventID: "a.1", Data: `{"choices":[{"delta":{"content":"one "}}]}`},
		{LastEventID: "a.2", Data: `{"choices":[{"delta":{"content":"two "}}]}`},
		{LastEventID: "a.4", Data: `{"choices":[{"delta":{"content":"three four "}}]}`},
		{LastEventID: "a.3", Type: "skerry.rewind", Data: `{"answer":"a","index":3}`},
		{LastEventID: "a.3", Data: `{"choices":[{"delta":{"content":"three"}}]}`},
		{Data: "[DONE]"},
	} {
		if err := q.event(e); err != nil {
			t.Fatal(err)
		}
	}
	if q.Text != "one two three" || !q.Ended {
		t.Errorf("%q, ended %t", q.Text, q.Ended)
	}
	for _, bad := range []string{`{`, `{"error":{"message":"no"}}`} {
		if err := q.event(sse.Event{Data: bad}); err == nil {
			t.Errorf("%s is no token", bad)
		}
	}
}

// FuzzEvent: whatever a daemon sends, what is taken back leaves a beginning of the text.
func FuzzEvent(f *testing.F) {
	f.Add("a.1", "", `{"choices":[{"delta":{"content":"one "}}]}`)
	f.Add("a.3", "skerry.rewind", `{"answer":"a","index":3}`)
	f.Add("a.-1", "skerry.rewind", `[DONE]`)
	f.Fuzz(func(t *testing.T, id, kind, data string) {
		q := New("s", 1)
		q.event(sse.Event{LastEventID: "a.1", Data: `{"choices":[{"delta":{"content":"one "}}]}`})
		q.event(sse.Event{LastEventID: id, Type: kind, Data: data})
		if len(q.Text) < q.lengths[0] {
			t.Errorf("%q of %v", q.Text, q.lengths)
		}
	})
}
