package status_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/status"
)

func TestSince(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, at := range map[string]time.Time{
		"never": {}, "just now": now.Add(-time.Second), "90 min ago": now.Add(-90 * time.Minute), "30 h ago": now.Add(-30 * time.Hour),
		"2 days ago": now.Add(-50 * time.Hour),
	} {
		if got := status.Since(at, now); got != want {
			t.Errorf("%s: %q, not %q", at, got, want)
		}
	}
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// What is known of a link is said of it, and what is not is left out.
func TestLinkFacts(t *testing.T) {
	up := status.Link{Wanted: true, Connected: true, Cloud: "c:1", State: "good", Reason: "rtt 9 ms", Transport: "quic", Since: noon.Add(-time.Minute), BytesUp: 2e6, Budget: 5e6,
		Hour: []status.Minute{{State: "good"}, {State: "fair"}, {State: "?"}, {State: "poor"}, {State: "down"}}}
	down := status.Link{Wanted: true, Cloud: "c:1", State: "down", Reason: "no answer", LastError: "timeout", NextDial: noon.Add(8 * time.Second), Unanswered: 2, UnansweredAt: noon.Add(-time.Minute)}
	for _, c := range []struct {
		link      status.Link
		want      []string
		wanting   string
		inTrouble bool
	}{
		{status.Link{}, nil, "cloud", false},
		{up, []string{"by: quic", "this month: 2.0 MB up, 0 B down of 5.0 MB", "last hour: =- .x"}, "goodput up", false},
		{down, []string{"down for: ", "last error: timeout", "next try: in 8 s (skerry link retry: now)", "unanswered: 2 waits, the last 1 min ago"}, "by", true},
	} {
		var lines []string
		for _, f := range status.LinkFacts(status.Status{Time: noon, Link: c.link}) {
			lines = append(lines, f[0]+": "+f[1])
			if f[0] == c.wanting {
				t.Errorf("%q", f)
			}
		}
		for _, want := range c.want {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
				t.Errorf("no %q in %q", want, lines)
			}
		}
		if len(c.want) == 0 && len(lines) > 0 || c.link.InTrouble() != c.inTrouble {
			t.Errorf("%+v: %q", c.link, lines)
		}
	}
}

// The tables have a row for each thing under their heads, and JSON has no null for a list.
func TestWorkTables(t *testing.T) {
	s := status.Status{State: status.Ready, Time: noon, Model: &status.Model{Name: "tiny", Parallel: 2, Context: 256, Pinned: true}, Sessions: []status.Session{
		{ID: "idle", State: "idle"}, {ID: "late", State: "queued"}, {ID: "a", State: "decoding", Tokens: 7, StalledS: 90, Updated: noon.Add(-time.Hour), Kept: true}}}
	w := s.Work()
	models, requests, sessions := w.ModelTable(noon), w.RequestTable(noon), status.SessionTable(s.Sessions, noon)
	if len(models) != 2 || models[1][4] != "2 x 256" || models[1][7] != "pinned" {
		t.Errorf("%q", models)
	}
	if want := "[a decoding, stalled 1 min 7   1 h 0 min]"; len(requests) != 3 || fmt.Sprint(requests[1]) != want || requests[2][0] != "late" {
		t.Errorf("%q, want %s", requests, want)
	}
	if want := "[a decoding 7 yes   60 min ago]"; len(sessions) != 4 || fmt.Sprint(sessions[3]) != want {
		t.Errorf("%q, want %s", sessions, want)
	}
	if w := (status.Status{}).Work(); w.Models == nil || w.Requests == nil {
		t.Errorf("%+v", w)
	}
}
