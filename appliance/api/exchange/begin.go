package exchange

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"skerry/appliance/infer"
)

// Begin asks q, or finds the answer that the request's Last-Event-ID goes on with,
// and after how many of its tokens.
func (s *Server) Begin(r *http.Request, q infer.Request, x Extra) (a infer.Answer, from int, err error) {
	if q.Session, err = session(r, x); err != nil {
		return nil, 0, err
	}
	q.Client, q.By, q.After, q.Draft = s.Client(r), s.By(r), x.After, x.Draft
	if err := x.Draft.Check(); err != nil {
		return nil, 0, BadRequest("skerry.draft", "skerry.%s", err)
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		return s.Resume(r, q.Session, last)
	}
	if q.Model, err = s.Resolve(q.Model); err != nil {
		return nil, 0, err
	}
	if err := s.ReadImages(&q); err != nil {
		return nil, 0, err
	}
	a, err = s.Ask(r.Context(), q)
	return a, 0, err
}

// Resume follows an answer on after the event last, "ANSWER.INDEX".
func (s *Server) Resume(r *http.Request, name, last string) (infer.Answer, int, error) {
	if name == "" {
		return nil, 0, BadRequest("X-Skerry-Session", "Last-Event-ID needs the session that the answer belongs to: send X-Skerry-Session (an answer without a session is not kept)")
	}
	id, from, err := parseEventID(last)
	if err != nil {
		return nil, 0, err
	}
	a, err := s.Follow(r.Context(), s.Following(r, name, id))
	return a, from, err
}

// Following names an answer to follow. What is got is only looked at (RFC 9110,
// section 9.2.1).
func (s *Server) Following(r *http.Request, session, id string) infer.Following {
	return infer.Following{By: s.By(r), Session: session, ID: id, Look: r.Method != http.MethodPost}
}

// EventID is where Last-Event-ID goes on after e.
func EventID(a infer.Answer, e infer.Event) string { return fmt.Sprintf("%s.%d", a.ID(), e.Index) }

func parseEventID(s string) (id string, index int, err error) {
	dot := strings.LastIndexByte(s, '.')
	if dot > 0 {
		index, err = strconv.Atoi(s[dot+1:])
	}
	if dot <= 0 || err != nil || index < 0 {
		return "", 0, BadRequest("Last-Event-ID", "Last-Event-ID is %q: it must be an id that this server sent", Clip(s))
	}
	return s[:dot], index, nil
}

// NameAnswer names the answer in the reply's header.
func NameAnswer(w http.ResponseWriter, a infer.Answer) {
	w.Header().Set("X-Request-Id", a.ID())
	if a.Session() != "" {
		w.Header().Set("X-Skerry-Session", a.Session())
	}
}
