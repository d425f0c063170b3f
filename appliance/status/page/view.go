package page

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// How much of long lists is shown.
const (
	olderSessions = 200 // a page of those that the status does not have
	shownLogs     = 60
)

// view is what the templates see.
type view struct {
	S      status.Status
	Title  string
	Origin string
	Event  uint64 // up to which it has everything that was said
	Viewer Viewer
	Asks   bool // there is a prompt box

	Fetch, Enroll string // commands

	StateClass, Up, Left string
	AskNote, LinkLetter  string
	NextDial             string
	Tiles                []tile
	Legend               []infer.SourceInfo
	Said                 []utterance
	Counted              int
	Shares               []share
	SharesText           string
	Reasons              []reason
	Memory, Disk, Budget meter
	More                 int              // sessions that the status does not have
	Older                []status.Session // those of them that were asked for
	Next                 string           // where they go on
	Logs                 []status.Record
	Talk                 talk
	Chats                []status.Session
	Models               []infer.Model // on this board
	DefaultModel         string
	Removes, Forgets     bool // the viewer may remove models, and delete conversations

	// Of the answer to a form.
	Prompt, AnswerNote string
}

// tile is one of the figures at the top.
type tile struct{ Label, Value, Unit, Note, Class string }

// meter is a bar that is full at 1.
type meter struct{ Share float64 }

func meterOf(used, total uint64) meter {
	if total == 0 {
		return meter{}
	}
	return meter{min(1, float64(used)/float64(total))}
}

// view of the status now, for a request.
func (s *server) view(r *http.Request) *view {
	viewer := s.Viewer(r)
	v := newView(s.shown(viewer, s.Status()))
	v.Viewer, v.Asks = viewer, s.Ask != nil && viewer.Asks
	v.Removes, v.Forgets = s.Models != nil && viewer.Manages, v.Asks && s.Conversations != nil
	v.Origin = "http://" + r.Host
	if r.TLS != nil {
		v.Origin = "https://" + r.Host
	}
	said, id := s.Hub.Recent(0)
	v.Said, v.Event = utterances(viewer.said(said)), id
	if viewer.Reads {
		v.Logs = s.newestLogs()
	}
	v.older(s, r.FormValue("older"))
	if v.Asks {
		v.Talk, v.Chats = s.talk(viewer, r.FormValue("session")), s.chats(viewer)
	}
	if s.Ask != nil && (viewer.Asks || viewer.Manages) {
		v.Models, v.DefaultModel = s.Ask.Models(), s.DefaultModel
	}
	return v
}

// fromNewest asks for the sessions behind those of the status.
const fromNewest = "newest"

// older lists the sessions from a place on that the status does not have.
func (v *view) older(s *server, place string) {
	if place == "" || s.Sessions == nil {
		return
	}
	limit := olderSessions
	if place == fromNewest {
		place, limit = "", limit+len(v.S.Sessions)
	}
	l, err := s.Sessions(v.Viewer.by(), place, limit)
	if err != nil {
		return // a place that there is not
	}
	v.Next = l.Next
	v.Older = slices.DeleteFunc(l.Sessions, func(o status.Session) bool {
		return slices.ContainsFunc(v.S.Sessions, func(n status.Session) bool { return n.ID == o.ID })
	})
}

// newestLogs has the newest first, as they are read.
func (s *server) newestLogs() []status.Record {
	records := s.records(shownLogs)
	for i, j := 0, len(records)-1; i < j; i, j = i+1, j-1 {
		records[i], records[j] = records[j], records[i]
	}
	return records
}

func newView(st status.Status) *view {
	v := &view{S: st, Fetch: status.FetchCommand, Enroll: status.EnrollCommand, Legend: infer.Sources}
	v.Title = fmt.Sprintf("%s: %s", cmp.Or(st.Name, "skerry"), st.Summary())
	v.StateClass = map[status.State]string{status.Ready: "ok", status.NoModel: "bad", status.Unable: "bad"}[st.State]
	if up := st.Time.Sub(st.Started); up >= time.Minute {
		v.Up = status.Span(up)
	}
	if p := st.Progress; p != nil && p.ETAs > 0 {
		v.Left = status.Span(time.Duration(p.ETAs * float64(time.Second)))
	}
	if wait := st.Link.NextDial.Sub(st.Time); wait > 0 {
		v.NextDial = "in " + status.Span(wait)
	}
	v.AskNote = askNote(st)
	v.LinkLetter = stateLetter(st.Link.State)
	v.tokens()
	v.Tiles = tiles(st)
	v.Memory = meterOf(st.Board.MemoryTotal-min(st.Board.MemoryFree, st.Board.MemoryTotal), st.Board.MemoryTotal)
	v.Disk = meterOf(st.Storage.TotalBytes-min(st.Storage.FreeBytes, st.Storage.TotalBytes), st.Storage.TotalBytes)
	v.Budget = meterOf(st.Link.BytesUp+st.Link.BytesDown, st.Link.Budget)
	v.More = max(0, st.SessionCount-len(st.Sessions))
	return v
}

// Drawing of the model, nil without one.
func (v *view) Drawing() *drawing { return draw(v.S) }

// Plot of the link's last hour, nil where nothing was measured.
func (v *view) Plot() *plot { return plotHour(v.S) }

func askNote(st status.Status) string {
	switch st.State {
	case status.Ready:
		if st.Queue.Waiting > 0 {
			return status.Plural(st.Queue.Waiting, "request waits", "requests wait") + " before yours."
		}
		return ""
	case status.NoModel:
		return "There is no model yet."
	case status.Unable:
		return title(status.State(st.Unable)) + "."
	default:
		return title(st.State) + ": ask again once the model is ready."
	}
}

// tiles are the six figures that say how it goes.
func tiles(st status.Status) []tile {
	t := []tile{
		{"Mode", cmp.Or(st.Mode, "–"), "", strings.Join(slices.DeleteFunc([]string{st.Why, st.Outlook.Says()}, func(s string) bool { return s == "" }), "; "), ""},
		{"Speed", "–", "", "no answer yet", ""},
		{"Link", "none", "", "no cloud is configured", ""},
		{"Requests", fmt.Sprint(st.Queue.Running), "running", fmt.Sprintf("%d waiting of %d", st.Queue.Waiting, st.Queue.Limit), ""},
		{"Load", fmt.Sprintf("%.2f", st.Board.Load), "", fmt.Sprintf("computing on %d of %s", st.Board.Threads, status.Plural(st.Board.Cores, "core")), ""},
	}
	if st.Tokens.Answers > 0 || st.Tokens.Rate > 0 {
		note := "the first answer is under way"
		if st.Tokens.Answers > 0 {
			note = "the first after " + status.Millis(st.Tokens.FirstMS)
		}
		t[1] = tile{"Speed", fmt.Sprintf("%.1f", st.Tokens.Rate), "tokens/s", note, ""}
	}
	if st.Link.Wanted {
		t[2] = tile{"Link", st.Link.State, "", st.Link.Reason, "state-" + st.Link.State}
	}
	if st.Board.Cores == 0 { // not for this viewer
		t = t[:len(t)-1]
	}
	if s, ok := st.Board.Temperature(); ok {
		note := s.Name
		if st.Board.Throttled != "" {
			note = "throttled: " + st.Board.Throttled
		}
		t = append(t, tile{"Heat", fmt.Sprintf("%.0f", s.Value), "°C", note, ""})
	}
	return t
}

// stateLetter stands for a link's state where there is no room, and beside its
// colour.
func stateLetter(state string) string {
	switch state {
	case "good", "fair", "poor", "down", "refused":
		return string(state[0] - 'a' + 'A')
	}
	return "–"
}
