package api

import (
	"net/http"
	"strconv"
	"strings"

	"skerry/appliance/answer"
)

// begin asks q, or finds the answer that the request's Last-Event-ID goes on with,
// and after how many of its tokens.
func (s *server) begin(r *http.Request, q answer.Request, x extra) (a answer.Answer, from int, err error) {
	if q.Session, err = session(r, x); err != nil {
		return nil, 0, err
	}
	q.Client = s.Client(r)
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		return s.resume(r, q.Session, last)
	}
	if q.Model, err = s.resolve(q.Model); err != nil {
		return nil, 0, err
	}
	a, err = s.Ask(r.Context(), q)
	return a, 0, err
}

// resume follows an answer on after the event last, "ANSWER.INDEX".
func (s *server) resume(r *http.Request, name, last string) (answer.Answer, int, error) {
	if name == "" {
		return nil, 0, bad("X-Skerry-Session", "Last-Event-ID needs the session it is of: send X-Skerry-Session; an answer without a session is not kept")
	}
	id, from, err := parseEventID(last)
	if err != nil {
		return nil, 0, err
	}
	a, err := s.Follow(r.Context(), name, id)
	return a, from, err
}

func parseEventID(s string) (id string, index int, err error) {
	dot := strings.LastIndexByte(s, '.')
	if dot > 0 {
		index, err = strconv.Atoi(s[dot+1:])
	}
	if dot <= 0 || err != nil || index < 0 {
		return "", 0, bad("Last-Event-ID", "Last-Event-ID is %q: it must be an id that this server sent", clip(s))
	}
	return s[:dot], index, nil
}

// tell names the answer in the reply's header.
func tell(w http.ResponseWriter, a answer.Answer) {
	w.Header().Set("X-Request-Id", a.ID())
	if a.Session() != "" {
		w.Header().Set("X-Skerry-Session", a.Session())
	}
}
