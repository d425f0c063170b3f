package api

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/openai"
	"skerry/appliance/infer"
)

// rawEvent is infer.Event with its error.
type rawEvent struct {
	infer.Event
	Error any `json:"error,omitempty"`
}

// sessionAnswer streams the events of a session's answer, ?answer=ID or the last,
// as they are. Last-Event-ID goes on after one. GET changes nothing: an answer that was
// cut ends there, and POST goes on with it.
func (s ownServer) sessionAnswer(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("session")
	if err := exchange.CheckSession(name); err != nil {
		return err
	}
	var a infer.Answer
	var from int
	var err error
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		a, from, err = s.Resume(r, name, last)
	} else {
		a, err = s.Follow(r.Context(), s.Following(r, name, r.URL.Query().Get("answer")))
	}
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	o := s.Stream(w, "text/event-stream")
	send := func(e infer.Event) error {
		raw := rawEvent{Event: e}
		if e.Err != nil {
			raw.Error = openai.Shape{}.Fault(exchange.ProblemOf(e.Err)).(map[string]any)["error"]
		}
		if err := o.Event(string(e.Kind), exchange.EventID(a, e), raw); err != nil {
			return err
		}
		return o.Flush()
	}
	err = s.Relay(r.Context(), a, from, send, func() error { return o.Comment("waiting") })
	if o.Started {
		return nil // its end, or the connection's, says it
	}
	return err
}
