package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"skerry/appliance/status"
	"skerry/appliance/status/page"
)

// paged serves the events of a hub.
func paged(t *testing.T) (*status.Hub, *status.Logs, http.Handler) {
	hub, logs := status.NewHub(), status.NewLogs(10, nil)
	t.Cleanup(hub.Close)
	return hub, logs, page.New(page.Source{Status: func() status.Status { return status.Status{Name: "here"} }, Hub: hub, Logs: logs})
}

func TestEvents(t *testing.T) {
	hub, _, h := paged(t)
	c := serve(t, h)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var kinds []status.Kind
	for e, err := range c.Events(ctx, status.KindStatus, status.KindTokens) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
		switch e.Kind {
		case status.KindStatus:
			var s status.Status
			if err := json.Unmarshal(e.Data, &s); err != nil || s.Name != "here" {
				t.Fatalf("%s: %v", e.Data, err)
			}
			hub.Token(status.Said{Session: "trip", Text: "Hello"})
		case status.KindTokens:
			var said []status.Said
			if err := json.Unmarshal(e.Data, &said); err != nil || said[0].Text != "Hello" {
				t.Fatalf("%s: %v", e.Data, err)
			}
			stop()
		}
	}
	if kinds[0] != status.KindStatus || !slices.Contains(kinds, status.KindTokens) {
		t.Errorf("%v", kinds)
	}
}

// A daemon that ends and comes back is told of once, and its events go on after the
// last that was had.
func TestEventsReconnect(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		if n == 2 {
			http.Error(w, "the daemon is stopping", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 1\n\nid: %d\nevent: status\ndata: {\"name\":%q}\n\n", n, "after "+r.Header.Get("Last-Event-ID"))
	}))
	c.pause = time.Millisecond
	var got []string
	for e, err := range c.Events(t.Context()) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, string(e.Data))
		if len(got) >= 4 {
			break
		}
	}
	want := []string{`{"name":"after "}`, "the daemon has ended the stream", "the daemon is stopping", `{"name":"after 1"}`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// One that was never there is an error at once, and the caller may leave it at that.
func TestEventsUnreachable(t *testing.T) {
	c := Dial(t.TempDir() + "/none.sock")
	for e, err := range c.Events(t.Context()) {
		if u := (*Unreachable)(nil); !errors.As(err, &u) {
			t.Errorf("%v, %v", e, err)
		}
		break
	}
}

func TestLogs(t *testing.T) {
	_, logs, h := paged(t)
	c := serve(t, h)
	log(logs, "one", "two", "three")
	lines, err := c.Logs(t.Context(), 2)
	if err != nil || len(lines) != 2 || lines[1].Message != "three" {
		t.Errorf("%v, %v", lines, err)
	}
	if lines, err = c.Logs(t.Context(), 0); err != nil || len(lines) != 3 {
		t.Errorf("%v, %v", lines, err)
	}
}

// FuzzEvents feeds what no daemon of ours would send.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"", "data: {}\n\n", "event: status\nid: 1\ndata: a\ndata: b\n\n", "\ufeff: \r\r\n\nid", "id: \x00\n\n", "retry: 99999999999999999999\n\ndata\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := &Client{sockets: []string{"x"}, pause: time.Hour, http: &http.Client{Transport: replay(stream)}}
		for _, err := range c.Events(t.Context()) {
			if err != nil {
				break
			}
		}
	})
}
