package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"skerry/appliance/status"
)

// confirmHeader repeats an order to end something, where it does not come over the
// unix socket: a request that a page or a script makes by mistake has it not.
const confirmHeader = "X-Skerry-Confirm"

// server hands requests to the daemon.
type server struct{ d Daemon }

// New serves, below /api/v1/,
//
//	GET    sessions                     ?limit=N&after=PLACE: the list, or a page of it
//	GET    sessions/{id}                one in full
//	GET    sessions/{id}/export         ?format=jsonl|markdown
//	DELETE sessions/{id}
//	POST   sessions/{id}/cancel         ends the answer under way
//	GET    config
//	POST   reload
//	POST   link/retry
//	POST   restart, shutdown, reboot, poweroff
//
// Errors are {"error": {"code": ..., "message": ...}}.
func New(d Daemon) http.Handler {
	s := &server{d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/sessions", s.sessions)
	mux.HandleFunc("GET /api/v1/sessions/{id}", s.session)
	mux.HandleFunc("GET /api/v1/sessions/{id}/export", s.export)
	mux.HandleFunc("DELETE /api/v1/sessions/{id}", s.delete)
	mux.HandleFunc("POST /api/v1/sessions/{id}/cancel", s.cancel)
	mux.HandleFunc("GET /api/v1/config", s.config)
	mux.HandleFunc("POST /api/v1/reload", s.reload)
	mux.HandleFunc("POST /api/v1/link/retry", s.retryLink)
	for _, p := range []Power{Restart, Shutdown, Reboot, PowerOff} {
		mux.HandleFunc("POST /api/v1/"+string(p), func(w http.ResponseWriter, r *http.Request) { s.power(w, r, p) })
	}
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &Error{CodeNotFound, "there is no " + r.Method + " " + r.URL.Path + " here; /api/v1/openapi.json lists what there is", http.StatusNotFound})
	})
	return mux
}

// Where a page of the list of sessions says what is not in it.
const (
	countHeader = "X-Total-Count" // of sessions in the whole list
	mostLimit   = 1000            // sessions of a page
)

// sessions answers with the list, or with ?limit a page of it: the header Link (RFC 8288)
// then has the address of the next one, up to the last.
func (s *server) sessions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit := 0
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostLimit {
			fail(w, &Error{CodeBadRequest, fmt.Sprintf("limit is %q: choose 1 to %d", text, mostLimit), http.StatusBadRequest})
			return
		}
		limit = n
	}
	list, err := s.d.Sessions(r.Context(), q.Get("after"), limit)
	if err == nil {
		w.Header().Set(countHeader, strconv.Itoa(list.Count))
		if list.Next != "" {
			next := url.Values{"limit": {strconv.Itoa(limit)}, "after": {list.Next}}
			w.Header().Set("Link", "</api/v1/sessions?"+next.Encode()+`>; rel="next"`)
		}
	}
	if list.Sessions == nil {
		list.Sessions = []status.Session{}
	}
	reply(w, list.Sessions, err)
}

func (s *server) session(w http.ResponseWriter, r *http.Request) {
	session, err := s.d.Session(r.Context(), r.PathValue("id"))
	reply(w, session, err)
}

func (s *server) delete(w http.ResponseWriter, r *http.Request) {
	reply(w, struct{}{}, s.d.Delete(r.Context(), r.PathValue("id")))
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	reply(w, struct{}{}, s.d.Cancel(r.Context(), r.PathValue("id")))
}

func (s *server) export(w http.ResponseWriter, r *http.Request) {
	format, err := ParseFormat(r.FormValue("format"))
	if err != nil {
		fail(w, &Error{CodeBadRequest, err.Error(), http.StatusBadRequest})
		return
	}
	session, err := s.d.Session(r.Context(), r.PathValue("id"))
	if err != nil {
		reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", format.contentType())
	format.Write(w, session)
}

func (s *server) config(w http.ResponseWriter, r *http.Request) {
	text, err := s.d.Config(r.Context())
	if err != nil {
		reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, text)
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	done, err := s.d.Reload(r.Context())
	reply(w, done, err)
}

func (s *server) retryLink(w http.ResponseWriter, r *http.Request) {
	reply(w, struct{}{}, s.d.RetryLink(r.Context()))
}

func (s *server) power(w http.ResponseWriter, r *http.Request, p Power) {
	if !overUnix(r.Context()) && r.Header.Get(confirmHeader) != string(p) {
		fail(w, &Error{CodeUnconfirmed, fmt.Sprintf("confirm with the header %s: %s, or use the unix socket", confirmHeader, p), http.StatusForbidden})
		return
	}
	reply(w, struct{}{}, s.d.Power(r.Context(), p))
}

// overUnix says whether the connection came over a unix socket.
func overUnix(ctx context.Context) bool {
	addr, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// reply writes v, or the error.
func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, asError(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}

// failure is the JSON of an error.
type failure struct {
	Error struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func fail(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	var f failure
	f.Error.Code, f.Error.Message = e.Code, e.Message
	json.NewEncoder(w).Encode(f)
}
