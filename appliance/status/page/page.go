// Package page serves the status as a page, as JSON and as text, and its changes
// as a stream of events. The page needs no script to be read and no other origin:
// everything is rendered here from templates, and what is live of it is rendered
// here too and sent as pieces that have changed.
package page

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Source is what the page shows.
type Source struct {
	Status func() status.Status // values that are not changed any more
	Hub    *status.Hub
	Logs   *status.Logs
	Ask    infer.Backend // of the prompt box; nil leaves it out
	// Client names who asks at the prompt box, for fairness; nil: "page".
	Client func(*http.Request) string
	// Sessions lists those that by may see, limit of them behind the place after; nil: the
	// page shows those of the status alone.
	Sessions func(by infer.By, after string, limit int) (status.SessionList, error)
	// Conversations keeps what the prompt box asks, so that a question can follow on the one
	// before; nil: each question stands alone.
	Conversations *Conversations
	// Models removes models for viewers that may; nil: nobody may.
	Models Remover
	// DefaultModel is what is fetched where no other is named.
	DefaultModel string
	// Viewer says who looks, and so what is shown; nil: everything to everybody.
	Viewer func(*http.Request) Viewer
}

type server struct {
	Source

	mu    sync.Mutex // guards all following fields
	parts map[string]rendered
}

// policy lets the page load from its own origin alone, and run and style nothing
// that is written into it. Markup is taken from the server's own pieces only, by the one
// place of the script that has the name "pieces".
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types pieces"

// New returns the handler of /, /ask, /answer, /stop, /forget, /image, /chats, /library, /remove, /assets/, /api/v1/status, /api/v1/events and
// /api/v1/logs. It has the hub publish the status, the health and the page while
// somebody reads them, so it is to be called once for a hub; closing the hub ends the
// streams.
func New(source Source) http.Handler {
	if source.Client == nil {
		source.Client = func(*http.Request) string { return "page" }
	}
	if source.Viewer == nil {
		source.Viewer = everything
	}
	s := &server{Source: source, parts: map[string]rendered{}}
	s.Hub.Poll(status.KindStatus, time.Second, func() any { return s.Status() })
	s.Hub.Poll(status.KindHealth, time.Second, s.changedHealth())
	s.Hub.Poll(status.KindPage, time.Second, func() any { return s.sections() })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.status([]string{"text/html", "application/json", "text/plain"}))
	mux.HandleFunc("GET /api/v1/status", s.status([]string{"application/json", "text/html", "text/plain"}))
	mux.HandleFunc("GET /api/v1/events", s.events)
	mux.HandleFunc("GET /api/v1/logs", s.logs)
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, assetURL("icon.svg"), http.StatusFound)
	})
	if s.Ask != nil {
		mux.HandleFunc("POST /ask", s.ask)
		mux.HandleFunc("GET /answer", s.follow)
		mux.HandleFunc("POST /answer", s.follow)
		mux.HandleFunc("GET /chats", s.listChats)
		mux.HandleFunc("GET /library", s.listModels)
		mux.Handle("GET /ask", http.RedirectHandler("/", http.StatusSeeOther))
	}
	if s.Ask != nil && s.Conversations != nil {
		mux.HandleFunc("POST /stop", s.stop)
		mux.HandleFunc("POST /forget", s.forget)
	}
	if s.Conversations != nil && s.Conversations.Image != nil {
		mux.HandleFunc("GET /image", s.image)
	}
	if s.Models != nil {
		mux.HandleFunc("POST /remove", s.removeModel)
	}
	return http.NewCrossOriginProtection().Handler(secured(mux))
}

// secured sets what every answer of the page says about itself.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with no-referrer the form would be sent with Origin: null
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// status answers in the form that the client accepts, the first unless it says.
func (s *server) status(forms []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		var b bytes.Buffer
		var err error
		form := accepted(r.Header.Get("Accept"), forms)
		switch form {
		case "text/html":
			err = templates.ExecuteTemplate(&b, "page", s.view(r))
		case "application/json":
			e := json.NewEncoder(&b)
			e.SetIndent("", "  ")
			err = e.Encode(s.shown(s.Viewer(r), s.Status()))
		default:
			width, _ := strconv.Atoi(r.FormValue("width"))
			err = status.Text(&b, s.shown(s.Viewer(r), s.Status()), min(width, 500))
		}
		if err != nil {
			http.Error(w, "the status cannot be rendered: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", form+"; charset=utf-8")
		w.Write(b.Bytes())
	}
}

// logs answers with the newest records: ?n of them, else all there are.
func (s *server) logs(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	records := s.records(n)
	w.Header().Add("Vary", "Accept")
	if accepted(r.Header.Get("Accept"), []string{"application/json", "text/plain"}) == "application/json" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		json.NewEncoder(w).Encode(records)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var b strings.Builder
	for _, record := range records {
		b.WriteString(record.Time.Format(time.RFC3339) + " " + record.String() + "\n")
	}
	w.Write([]byte(b.String()))
}

// records returns the newest n, an empty list where there are none.
func (s *server) records(n int) []status.Record {
	if s.Logs == nil {
		return []status.Record{}
	}
	return append([]status.Record{}, s.Logs.Records(max(n, 0))...)
}
