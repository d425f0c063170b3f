package page

import (
	"bytes"
	"net/http"
	"slices"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Viewer is who looks at the page.
type Viewer struct {
	Owner string // the key, "" for this machine: of what it may see in any case
	Reads bool   // may see everything
	Asks  bool   // may use the prompt box
	// Manages says that it may fetch models, over Ollama's API at /api/pull, and remove
	// them, and that it may delete the conversations of others.
	Manages bool
}

// everything is what a viewer sees where nobody says who looks.
func everything(*http.Request) Viewer { return Viewer{Reads: true, Asks: true, Manages: true} }

// by is the viewer as the core knows it.
func (v Viewer) by() infer.By { return infer.By{Owner: v.Owner, Every: v.Reads} }

// own is the viewer as somebody who asks, in the sessions that are its own.
func (v Viewer) own() infer.By { return infer.By{Owner: v.Owner} }

// deleting is the viewer as somebody who deletes sessions.
func (v Viewer) deleting() infer.By { return infer.By{Owner: v.Owner, Every: v.Manages} }

// shown is what of a status the viewer may know: whether it can ask, and what became of
// what it asked.
func (s *server) shown(v Viewer, st status.Status) status.Status {
	if v.Reads {
		return st
	}
	own := v.sessions(st)
	if s.Sessions != nil {
		if l, err := s.Sessions(v.by(), "", status.NewestSessions); err == nil {
			own = l
		}
	}
	return status.Status{
		Time: st.Time, Started: st.Started, Name: st.Name, Version: st.Version, State: st.State, Progress: st.Progress, Mode: st.Mode, Why: st.Why,
		Model: st.Model, Models: []status.Model{}, Link: status.Link{Wanted: st.Link.Wanted, Connected: st.Link.Connected, State: st.Link.State},
		Tokens: status.Tokens{Rate: st.Tokens.Rate, FirstMS: st.Tokens.FirstMS, Answers: st.Tokens.Answers}, Queue: st.Queue,
		Sessions: own.Sessions, SessionCount: own.Count, SessionStates: own.States,
		Changes: []status.Change{}, URLs: []string{}, Health: []status.Problem{},
	}
}

// sessions are the viewer's own of those in a status.
func (v Viewer) sessions(st status.Status) status.SessionList {
	own := slices.DeleteFunc(slices.Clone(st.Sessions), func(o status.Session) bool { return o.Owner != v.Owner })
	l := status.SessionList{Sessions: own, Count: len(own), States: map[string]int{}}
	for _, o := range own {
		l.States[o.State]++
	}
	return l
}

// said leaves the tokens of answers to the viewer.
func (v Viewer) said(all []status.Said) []status.Said {
	if v.Reads {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(s status.Said) bool { return s.Owner != v.Owner })
}

// narrow is an event as the viewer may have it, false where it may not.
func (v Viewer) narrow(s *server, e status.Event) (status.Event, bool) {
	if v.Reads {
		return e, true
	}
	switch value := e.Value.(type) {
	case status.Status:
		return remade(e, s.shown(v, value)), true
	case []status.Said:
		own := v.said(value)
		return remade(e, own), len(own) > 0
	case map[string]string:
		return remade(e, s.ownSections(v)), true
	}
	return e, false // the log, and what is wrong with the board
}

// ownSections renders the live parts for one viewer.
func (s *server) ownSections(viewer Viewer) map[string]string {
	v := newView(s.shown(viewer, s.Status()))
	v.Viewer = viewer
	parts := map[string]string{}
	var b bytes.Buffer
	for _, p := range live {
		if p.all {
			continue
		}
		b.Reset()
		if templates.ExecuteTemplate(&b, p.name, v) == nil {
			parts[p.name] = b.String()
		}
	}
	return parts
}
