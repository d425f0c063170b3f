package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/page"
	"skerry/appliance/status/statustest"
)

// asLaptop sees what is its own.
func asLaptop(*http.Request) page.Viewer { return page.Viewer{Owner: "laptop", Asks: true} }

// Who may only ask sees that the machine is ready, its own sessions and its own words;
// nothing of others, of the board, its link or its log, in no form.
func TestViewersSeeTheirOwn(t *testing.T) {
	s := statustest.Busy()
	for i := range s.Sessions {
		s.Sessions[i].Owner = "phone"
	}
	s.Sessions[0].Owner = "laptop"
	own, others := s.Sessions[0].ID, s.Sessions[1].ID
	r := newRig(t, s)
	r.write()
	r.Config.Handler = page.New(page.Source{Status: r.now, Hub: r.hub, Logs: r.logs, Ask: r.backend, Viewer: asLaptop})
	r.hub.Token(status.Said{Session: own, Owner: "laptop", Source: "exit1", Text: "mine"})
	r.hub.Token(status.Said{Session: others, Owner: "phone", Source: "exit1", Text: "theirs"})
	for _, accept := range []string{"text/html", "application/json", "text/plain"} {
		_, text := r.get(t, "/", accept)
		if !strings.Contains(text, own) || !strings.Contains(text, s.Model.Name) {
			t.Errorf("%s: what is its own is not shown: %s", accept, text)
		}
		for _, secret := range []string{others, "theirs", "database set aside", "Raspberry Pi 5", "cloud.example.net", "/var/lib/skerry", "The board is throttled"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", accept, secret)
			}
		}
	}
	_, text := r.get(t, "/", "text/html")
	if !strings.Contains(text, "mine") || !strings.Contains(text, "skerry key scope laptop ask,read") || !strings.Contains(text, `id="prompt"`) {
		t.Errorf("%s", text)
	}
	r.Config.Handler = page.New(page.Source{Status: r.now, Hub: status.NewHub(), Ask: r.backend, Viewer: func(*http.Request) page.Viewer { return page.Viewer{Reads: true} }})
	if _, text := r.get(t, "/", "text/html"); strings.Contains(text, `id="prompt"`) || !strings.Contains(text, others) {
		t.Errorf("who may only read: %s", text)
	}
}

// The same holds of the stream of events.
func TestEventsAreTheViewersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		st := statustest.Busy()
		for i := range st.Sessions {
			st.Sessions[i].Owner = "phone"
		}
		st.Sessions[0].Owner = "laptop"
		s.handler = page.New(page.Source{Hub: s.hub, Status: func() status.Status { return st }, Viewer: asLaptop})
		ctx, cancel := context.WithCancel(t.Context())
		l := s.listen(ctx, "/api/v1/events?kinds=status,tokens,log,health,page")
		s.hub.Token(status.Said{Session: "mine", Owner: "laptop", Text: "yes"})
		s.hub.Token(status.Said{Session: "theirs", Owner: "phone", Text: "no"})
		s.hub.Publish(status.KindLog, func() any { return status.Record{Message: "a line"} })
		s.hub.Publish(status.KindHealth, func() any { return st.Health })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		cancel()
		s.work.Wait()
		events, text := l.events()
		kinds := map[string]int{}
		for _, e := range events {
			kinds[e.kind]++
		}
		if kinds["status"] < 2 || kinds["tokens"] != 1 || kinds["page"] == 0 || kinds["log"] != 0 || kinds["health"] != 0 {
			t.Errorf("kinds %v", kinds)
		}
		for _, secret := range []string{"theirs", "a line", st.Sessions[1].ID, "Raspberry Pi 5", "cloud.example.net", "/var/lib/skerry"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is sent", secret)
			}
		}
		var sections struct{ Sections map[string]string }
		for _, e := range events {
			if e.kind == "page" {
				json.Unmarshal([]byte(e.data), &sections)
			}
		}
		if sections.Sections["board"] != "" || sections.Sections["link"] != "" {
			t.Errorf("sections %v", sections)
		}
		s.hub.Close()
	})
}

// The page has the sessions of the status; older ones come on demand, in pages, to whom they
// belong.
func TestOlderSessions(t *testing.T) {
	s := statustest.Busy()
	s.SessionCount = 900
	r := newRig(t, s)
	var asked []string
	source := page.Source{Status: r.now, Hub: r.hub, Logs: r.logs, Viewer: asLaptop, Sessions: func(by infer.By, after string, limit int) (status.SessionList, error) {
		asked = append(asked, fmt.Sprint(by, after, limit))
		if after == "nowhere" {
			return status.SessionList{}, errors.New("no such place")
		}
		return status.SessionList{Sessions: []status.Session{s.Sessions[0], {ID: "session<1>" + after}}, Count: 300, Next: "12.x y"}, nil
	}}
	r.Config.Handler = page.New(source)
	_, text := r.get(t, "/", "text/html")
	if !strings.Contains(text, "And 298 more") || !strings.Contains(text, `href="/?older=newest#older"`) || strings.Contains(text, `id="older"`) || strings.Contains(text, "12.x") {
		t.Errorf("%s", text)
	}
	_, text = r.get(t, "/?older=12.x+y", "text/html")
	if !strings.Contains(text, `id="older"`) || !strings.Contains(text, "session&lt;1&gt;12.x y") || !strings.Contains(text, `href="/?older=12.x%20y#older"`) {
		t.Errorf("%s", text)
	}
	if _, text = r.get(t, "/?older=nowhere", "text/html"); strings.Contains(text, `id="older"`) {
		t.Errorf("%s", text)
	}
	if want := "{laptop false}12.x y200"; !slices.Contains(asked, want) {
		t.Errorf("asked for %q, not for %q", asked, want)
	}
}
