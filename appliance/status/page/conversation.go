package page

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Conversation is a session as the page shows it.
type Conversation struct {
	ID       string
	Owner    string          // the key whose it is, "" for this machine
	Messages []infer.Message // with as much of the last answer as there is
	Running  bool            // the last answer is under way
	Cut      bool            // the last answer was cut, and can be gone on with
	Unkept   bool            // it was too long for its messages to be kept
}

// Conversations are the sessions that the page's conversations are.
type Conversations struct {
	// Find returns one that by may see, or an *infer.Error.
	Find func(by infer.By, id string) (Conversation, error)
	// Cancel ends the answer under way in one, for good and as it is.
	Cancel func(by infer.By, id string) error
	// Delete deletes one for good. It is an *infer.Error while one is answered.
	Delete func(by infer.By, id string) error
	// Image is one of a session's, by its sum; nil: they are not shown.
	Image func(by infer.By, id, sum string) ([]byte, error)
}

// Of the list of conversations beside the page's own, and of the messages of one.
const (
	shownChats    = 30
	shownMessages = 400
)

// message is one of a conversation, and its place among the session's messages.
type message struct {
	At         int
	Role, Name string
	Text       string
	Images     []string // addresses
}

// talk is the conversation that the page shows; the zero value where it is a new one.
type talk struct {
	ID       string
	Messages []message
	Count    int // of the session's messages
	Earlier  int // messages that are not shown
	Running  bool
	Cut      bool
	Note     string // why it cannot be asked on, or was not found
	Closed   bool   // it cannot be asked on
	// Deletable says that the viewer may delete it.
	Deletable bool
}

// talk finds the conversation that a request is about.
func (s *server) talk(viewer Viewer, id string) talk {
	if id == "" || s.Conversations == nil {
		return talk{}
	}
	c, err := s.Conversations.Find(viewer.by(), id)
	if err != nil {
		return talk{Note: err.Error()}
	}
	t := talk{ID: id, Count: len(c.Messages), Running: c.Running, Cut: c.Cut, Deletable: viewer.deleting().May(c.Owner)}
	switch {
	case !viewer.own().May(c.Owner):
		t.Closed, t.Note = true, "This conversation is another key's: it can be read here, and not asked on."
	case c.Unkept:
		t.Closed, t.Note = true, "This conversation was too long to be kept whole: begin a new one."
	}
	t.Earlier = max(0, len(c.Messages)-shownMessages)
	for i, m := range c.Messages {
		if i < t.Earlier || m.Content == "" && len(m.Images) == 0 && m.Role != "assistant" {
			continue
		}
		shown := message{At: i, Role: m.Role, Name: speaker(m.Role), Text: m.Content}
		for _, img := range m.Images {
			shown.Images = append(shown.Images, "/image?"+url.Values{"session": {id}, "sum": {img.Sum}}.Encode())
		}
		t.Messages = append(t.Messages, shown)
	}
	return t
}

// speaker names whoever a message is from.
func speaker(role string) string {
	switch role {
	case "user":
		return "You"
	case "assistant":
		return "Answer"
	}
	return title(status.State(role))
}

// chats are the conversations that the viewer can ask on, the newest first.
func (s *server) chats(viewer Viewer) []status.Session {
	if s.Sessions == nil || s.Conversations == nil || !viewer.Asks {
		return nil
	}
	l, err := s.Sessions(viewer.own(), "", shownChats)
	if err != nil {
		return nil
	}
	return l.Sessions
}

// listChats answers with the list of conversations alone, as a piece of the page.
func (s *server) listChats(w http.ResponseWriter, r *http.Request) {
	v := s.view(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	newWriter(w).template("chats", v)
}

// follow streams the last answer of a session from its beginning. A POST goes on with one
// that was cut.
func (s *server) follow(w http.ResponseWriter, r *http.Request) {
	viewer := s.Viewer(r)
	f := infer.Following{By: viewer.by(), Session: r.FormValue("session"), Look: r.Method != http.MethodPost}
	if !f.Look {
		f.By = viewer.own()
	}
	a, err := s.Ask.Follow(r.Context(), f)
	if err != nil {
		s.refuse(w, r, "text/event-stream", "", err)
		return
	}
	s.relay(r.Context(), newStream(w), viewer, a)
}

// stop ends the answer under way in a session.
func (s *server) stop(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("session")
	form := accepted(r.Header.Get("Accept"), []string{"text/html", "text/event-stream"})
	if err := s.Conversations.Cancel(s.Viewer(r).own(), id); err != nil {
		s.refuse(w, r, form, "", err)
		return
	}
	if form == "text/html" {
		http.Redirect(w, r, conversationURL(id), http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// question of the prompt box as a request: in a session it follows on what the session
// keeps, behind "after" messages of it where a question is edited. "count" is how many
// messages the page shows: where the session has others, somebody else has asked on.
func (s *server) question(r *http.Request, prompt string) (infer.Request, error) {
	viewer := s.Viewer(r)
	images, err := imagesOf(r)
	if err != nil {
		return infer.Request{}, err
	}
	q := infer.Request{Client: s.Client(r), By: viewer.own(), Model: r.FormValue("model"), Messages: []infer.Message{{Role: "user", Content: prompt, Images: images}}}
	if s.Conversations == nil {
		return q, nil
	}
	after := -1
	if q.Session = r.FormValue("session"); q.Session == "" {
		q.Session = newName()
	} else {
		c, err := s.Conversations.Find(q.By, q.Session)
		if err != nil {
			return q, err
		}
		if n, err := strconv.Atoi(r.FormValue("count")); err == nil && n != len(c.Messages) && !c.Running {
			return q, infer.Errorf(infer.Conflict, "session", "this conversation has gone on elsewhere: reload the page to see it, and ask again")
		}
		if n, err := strconv.Atoi(r.FormValue("after")); err == nil {
			after = n
		}
	}
	q.After = &after
	return q, nil
}

// newName of a session. It says nothing of what is asked: names are shown to whoever looks
// at the board.
func newName() string { return "page-" + strings.ToLower(rand.Text()[:8]) }

func conversationURL(id string) string { return "/?session=" + url.QueryEscape(id) + "#ask" }
