package main

import (
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
)

func TestPortsThatQEMUHasChosen(t *testing.T) {
	text := "Hub -1 (n):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n" +
		"  TCP[HOST_FORWARD]  14       127.0.0.1 39563       10.0.2.15    22     0     0\r\n" +
		"  TCP[HOST_FORWARD]  13       127.0.0.1 40001       10.0.2.15  7537     0     0\r\n" +
		"  UDP[236 sec]       30       10.0.2.15 57333 192.0.2.1    53     0     0\r\n"
	if got := portsOf(text); !maps.Equal(got, map[string]string{"22": "39563", "7537": "40001"}) {
		t.Errorf("%v", got)
	}
}

// said is a monitor that has said all that it will.
type said struct {
	io.Reader
	io.Writer
}

func TestMonitor(t *testing.T) {
	var asked strings.Builder
	text, err := usernet(said{strings.NewReader(`{"QMP":{"version":{}}}{"return":{}}{"event":"X"}{"return":"the ports"}`), &asked})
	if err != nil || text != "the ports" || !strings.Contains(asked.String(), "info usernet") {
		t.Errorf("%q, %v", text, err)
	}
	for _, bad := range []string{`{"QMP":{}}{"error":{"desc":"no"}}`, `{"QMP":{}}{"return":{}}`, `{`} {
		if _, err := usernet(said{strings.NewReader(bad), io.Discard}); err == nil {
			t.Errorf("%s is no answer", bad)
		}
	}
}

func TestKeyOnTheConsole(t *testing.T) {
	m := &machine{dir: t.TempDir()}
	for text, want := range map[string]string{"": "", "Its key:   sk-sker": "", "\r\r\nIts key:   sk-skerry-x\r\r\nssh:": "sk-skerry-x"} {
		if err := os.WriteFile(m.log(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := m.shownKey(); got != want {
			t.Errorf("%q in %q", got, text)
		}
	}
}

func TestProcessorTime(t *testing.T) {
	stat := "42 (a ) name) S 1 2 3 0 -1 4 5 6 7 8 1234 66 0 0 20 0"
	if got, err := processorTime(stat); err != nil || got != 13*time.Second {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", strings.Replace(stat, "66", "x", 1)} {
		if _, err := processorTime(bad); err == nil {
			t.Errorf("%q has a time", bad)
		}
	}
}

// What the daemon takes back after a cut is forgotten, and comes anew.
func TestAnswerIsTakenBack(t *testing.T) {
	q := newQuestion("s")
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
	if q.text != "one two three" || !q.ended {
		t.Errorf("%q, ended %t", q.text, q.ended)
	}
	for _, bad := range []string{`{`, `{"error":{"message":"no"}}`} {
		if err := q.event(sse.Event{Data: bad}); err == nil {
			t.Errorf("%s is no token", bad)
		}
	}
}
