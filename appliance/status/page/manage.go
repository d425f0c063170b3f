package page

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Remover takes a name from a model of this board, and its files with the last of its names.
type Remover interface {
	Delete(ctx context.Context, name string) error
}

// shelved is a model as the list of models shows it.
type shelved struct {
	infer.Model
	State string // where it is now
	Loss  string // what its removal would do, and the question whether to
}

// Shelf is the models of this board, each with its state.
func (v *view) Shelf() []shelved {
	all := make([]shelved, len(v.Models))
	for i, m := range v.Models {
		all[i] = shelved{m, stateOf(m, v.S.Time), v.lossOf(m)}
	}
	return all
}

func stateOf(m infer.Model, now time.Time) string {
	if !m.Loaded {
		return "not loaded"
	}
	s := "loaded"
	if m.LoadedBytes > 0 {
		s += " with " + status.Bytes(m.LoadedBytes) + " of memory"
	}
	switch left := m.Expires.Sub(now); {
	case m.Pinned:
		s += ", pinned"
	case !m.Expires.IsZero() && left > 0:
		s += ", for another " + status.Span(left)
	}
	return s
}

// lossOf asks whether a model is to be removed.
func (v *view) lossOf(m infer.Model) string {
	i := slices.IndexFunc(v.Models, func(o infer.Model) bool { return o.Digest == m.Digest && o.Name != m.Name })
	if i >= 0 {
		return fmt.Sprintf("Remove the name %s? The model stays, as %s.", m.Name, v.Models[i].Name)
	}
	loss := fmt.Sprintf("Remove %s from this board, %s? It would have to be fetched again.", m.Name, status.Bytes(m.Bytes))
	if m.Loaded {
		loss += " It is unloaded first; an answer under way keeps it."
	}
	return loss
}

// listModels answers with the list of models alone, as a piece of the page.
func (s *server) listModels(w http.ResponseWriter, r *http.Request) {
	v := s.view(r)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	newWriter(w).template("library", v)
}

// removeModel removes a model for a viewer that may.
func (s *server) removeModel(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name := r.PostFormValue("model")
	s.change(w, r, "/#models-title", func() error {
		switch {
		case !s.Viewer(r).Manages:
			return infer.Errorf(infer.Forbidden, "model", "removing a model is for keys of scope admin")
		case name == "":
			return infer.Errorf(infer.BadRequest, "model", "model is required")
		}
		return s.Models.Delete(r.Context(), name)
	})
}

// forget deletes a conversation, durably.
func (s *server) forget(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id := r.PostFormValue("session")
	s.change(w, r, "/#ask-panel", func() error {
		if id == "" {
			return infer.Errorf(infer.BadRequest, "session", "session is required")
		}
		return s.Conversations.Delete(s.Viewer(r).deleting(), id)
	})
}

// change does what a form asks for, and says why not, in the form the client wants.
func (s *server) change(w http.ResponseWriter, r *http.Request, then string, do func() error) {
	script := accepted(r.Header.Get("Accept"), []string{"text/html", "text/event-stream"}) == "text/event-stream"
	err := do()
	switch {
	case err == nil && script:
		w.WriteHeader(http.StatusNoContent)
		return
	case err == nil:
		http.Redirect(w, r, then, http.StatusSeeOther)
		return
	}
	code := refusalCode(w, err)
	if script {
		http.Error(w, err.Error(), code)
		return
	}
	v := s.view(r)
	v.AnswerNote, v.Talk = title(status.State(err.Error())), talk{ID: r.FormValue("session")}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "not-done", v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}
