package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

const maxForm = 1 << 20

// ask answers the prompt box: as a page that grows with the answer, or, where the
// client wants text/event-stream, as the events of the answer. It is asked here
// rather than over the OpenAI API for the source of each token, which the page
// shows. The header X-Skerry-Session names the session that the question is in.
func (s *server) ask(w http.ResponseWriter, r *http.Request) {
	unread := parse(w, r)
	prompt := strings.TrimSpace(r.FormValue("prompt"))
	form := accepted(r.Header.Get("Accept"), []string{"text/html", "text/event-stream"})
	refuse := func(err error) { s.refuse(w, r, form, prompt, err) }
	if r.MultipartForm != nil {
		defer r.MultipartForm.RemoveAll()
	}
	if unread != nil {
		refuse(unread)
		return
	}
	if prompt == "" || len(prompt) > maxForm {
		refuse(infer.Errorf(infer.BadRequest, "prompt", "the question is empty, or longer than %s: write a shorter one", status.Bytes(maxForm)))
		return
	}
	q, err := s.question(r, prompt)
	if err != nil {
		refuse(err)
		return
	}
	a, err := s.Ask.Ask(r.Context(), q)
	if err != nil {
		refuse(err)
		return
	}
	if form == "text/event-stream" {
		w.Header().Set("X-Skerry-Session", q.Session)
		s.relay(r.Context(), newStream(w), s.Viewer(r), a)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v := s.view(r)
	v.Prompt, v.Talk = prompt, talk{ID: q.Session}
	s.write(r.Context(), newWriter(w), v, a)
}

// relay sends the answer's events as they come, each with the error that an
// infer.Event does not carry in JSON. The last says how many messages the session has now.
func (s *server) relay(ctx context.Context, out *stream, viewer Viewer, a infer.Answer) {
	if out.write(": \n\n") != nil { // the headers, before the first event
		return
	}
	for e := range a.Events(ctx, 0) {
		var count *int
		if e.Kind == infer.End && s.Conversations != nil {
			if c, err := s.Conversations.Find(viewer.by(), a.Session()); err == nil {
				count = new(len(c.Messages))
			}
		}
		body, err := json.Marshal(struct {
			infer.Event
			Error string `json:"error,omitempty"`
			Note  string `json:"note,omitempty"`
			Count *int   `json:"count,omitempty"`
		}{e, errorText(e.Err), note(e), count})
		if err != nil {
			return
		}
		if out.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Index, e.Kind, body)) != nil {
			return
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// writer sends pieces of a page as they are made.
type writer struct{ stream }

func newWriter(w http.ResponseWriter) *writer {
	return &writer{stream{w: w, rc: http.NewResponseController(w)}}
}

func (w *writer) template(name string, value any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, value); err != nil {
		return err
	}
	return w.stream.write(b.String())
}

// write sends a page with the answer in it, which a browser shows as it grows.
func (s *server) write(ctx context.Context, w *writer, v *view, a infer.Answer) {
	if w.template("answer-head", v) != nil {
		return
	}
	for e := range a.Events(ctx, 0) {
		if e.Kind == infer.End {
			v.AnswerNote = note(e)
		}
		for _, piece := range pieces(e) {
			if w.template("answer-run", piece) != nil {
				return
			}
		}
	}
	w.template("answer-foot", v)
}

// pieces of the text with who said them. Where the tokens are not the text (a stop
// string took some of it back) it is whose the first is.
func pieces(e infer.Event) []run {
	if e.Text == "" {
		return nil
	}
	var u utterance
	var whole string
	for _, t := range e.Tokens {
		u.say(string(t.Source), t.Text)
		whole += t.Text
	}
	if whole == e.Text {
		return u.Runs
	}
	source := ""
	if len(e.Tokens) > 0 {
		source = string(e.Tokens[0].Source)
	}
	return []run{{infer.Source(source).Info(), e.Text}}
}

// note says how the answer went, once it has ended.
func note(e infer.Event) string {
	if e.Kind != infer.End {
		return ""
	}
	if e.Err != nil {
		return "It ended early: " + e.Err.Error()
	}
	text := fmt.Sprintf("%s in %s", status.Plural(e.Usage.Completion, "token"), status.Millis(float64(e.Usage.Total)/float64(time.Millisecond)))
	if e.Finish == infer.Length {
		text += ", cut at the greatest length"
	}
	if e.Provenance == nil {
		return text + "."
	}
	var by []string
	for _, s := range status.Shares(e.Provenance.Sources) {
		by = append(by, fmt.Sprintf("%s %d", infer.Source(s.Name).Info().Name, s.Count))
	}
	text += ", " + string(e.Provenance.Mode)
	if len(by) > 0 {
		text += ": " + strings.Join(by, ", ")
	}
	if e.Provenance.Lost != "" {
		text += ". The cloud was lost: " + e.Provenance.Lost
	}
	return text + "."
}

// codes of HTTP for what a backend refuses.
var codes = map[infer.Code]int{
	infer.BadRequest: 400, infer.TooLong: 400, infer.Forbidden: 403, infer.NoModel: 404, infer.NoSession: 404, infer.Conflict: 409,
	infer.Busy: 429, infer.Loading: 503, infer.Stopping: 503, infer.Unavailable: 503,
}

// refusalCode is the code of HTTP for an error; of one that passes it sets when to come back.
func refusalCode(w http.ResponseWriter, err error) int {
	code := http.StatusInternalServerError
	if e, ok := errors.AsType[*infer.Error](err); ok {
		if known := codes[e.Code]; known != 0 {
			code = known
		}
		if e.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
		}
	}
	return code
}

// refuse says why there is no answer, in the form the client wants.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, form, prompt string, err error) {
	code := refusalCode(w, err)
	if form == "text/event-stream" {
		http.Error(w, err.Error(), code)
		return
	}
	v := s.view(r)
	v.Prompt, v.AnswerNote, v.Talk.ID = prompt, err.Error(), r.FormValue("session")
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "answer-error", v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}
