package api

import (
	"net/http"

	"skerry/appliance/answer"
)

// rawEvent is answer.Event with its error.
type rawEvent struct {
	answer.Event
	Error any `json:"error,omitempty"`
}

// sessionAnswer streams the events of a session's answer, ?answer=ID or the last,
// as they are. Last-Event-ID goes on after one.
func (s *server) sessionAnswer(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("session")
	if err := checkSession(name); err != nil {
		return err
	}
	var from int
	a, err := s.Follow(r.Context(), name, r.URL.Query().Get("answer"))
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		a, from, err = s.resume(r, name, last)
	}
	if err != nil {
		return err
	}
	tell(w, a)
	o := s.stream(w, "text/event-stream")
	send := func(e answer.Event) error {
		raw := rawEvent{Event: e}
		if e.Err != nil {
			raw.Error = openAI{}.fault(problemOf(e.Err)).(map[string]any)["error"]
		}
		if err := o.event(string(e.Kind), eventID(a, e), raw); err != nil {
			return err
		}
		return o.flush()
	}
	err = s.follow(r.Context(), a, from, send, func() error { return o.comment("waiting") })
	if o.started {
		return nil // its end, or the connection's, says it
	}
	return err
}
