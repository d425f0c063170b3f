package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// confirmHeader repeats an order to end something, where it does not come over the
// unix socket: a request that a page or a script makes by mistake has it not.
const confirmHeader = "X-Skerry-Confirm"

// server hands requests to the daemon.
type server struct{ d Daemon }

// New serves, below /api/v1/,
//
//	GET    sessions                     the list
//	GET    sessions/{id}                one in full
//	GET    sessions/{id}/export         ?format=jsonl|markdown
//	DELETE sessions/{id}
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
	mux.HandleFunc("GET /api/v1/config", s.config)
	mux.HandleFunc("POST /api/v1/reload", s.reload)
	mux.HandleFunc("POST /api/v1/link/retry", s.retryLink)
	for _, p := range []Power{Restart, Shutdown, Reboot, PowerOff} {
		mux.HandleFunc("POST /api/v1/"+string(p), func(w http.ResponseWriter, r *http.Request) { s.power(w, r, p) })
	}
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "there is no "+r.Method+" "+r.URL.Path+" here; /api/v1/openapi.json lists what there is")
	})
	return mux
}

func (s *server) sessions(w http.ResponseWriter, r *http.Request) {
	list, err := s.d.Sessions(r.Context())
	reply(w, list, err)
}

func (s *server) session(w http.ResponseWriter, r *http.Request) {
	session, err := s.d.Session(r.Context(), r.PathValue("id"))
	reply(w, session, err)
}

func (s *server) delete(w http.ResponseWriter, r *http.Request) {
	reply(w, struct{}{}, s.d.Delete(r.Context(), r.PathValue("id")))
}

func (s *server) export(w http.ResponseWriter, r *http.Request) {
	format, err := ParseFormat(r.FormValue("format"))
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_request", err.Error())
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
		fail(w, http.StatusForbidden, "unconfirmed", fmt.Sprintf("confirm with the header %s: %s, or use the unix socket", confirmHeader, p))
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
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(v)
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, ErrConflict):
		fail(w, http.StatusConflict, "conflict", err.Error())
	case errors.Is(err, ErrRefused):
		fail(w, http.StatusForbidden, "refused", err.Error())
	default:
		fail(w, http.StatusInternalServerError, "internal", err.Error())
	}
}

// refusal is the JSON of an error.
type refusal struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func fail(w http.ResponseWriter, code int, name, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	var f refusal
	f.Error.Code, f.Error.Message = name, message
	json.NewEncoder(w).Encode(f)
}
