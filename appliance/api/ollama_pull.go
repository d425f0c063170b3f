package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"

	"skerry/appliance/answer"
)

type pullLine struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// lineOf progress. Clients draw one bar a digest, so each kind of work has one.
func lineOf(p answer.Progress) pullLine {
	l := pullLine{Status: p.What, Total: p.Total, Completed: p.Done}
	if p.Total > 0 {
		l.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(p.What)))
	}
	return l
}

func (s *server) pull(w http.ResponseWriter, r *http.Request) error {
	var streams bool
	name, err := s.modelName(w, r, &streams)
	if err != nil {
		return err
	}
	name = bare(name)
	if !streams {
		if err := s.Pull(r.Context(), name, func(answer.Progress) {}); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, pullLine{Status: "success"})
		return nil
	}
	return s.pullStream(r, name, s.stream(w, "application/x-ndjson"))
}

// pullStream sends the newest progress whenever the client can take it: a slow one
// misses some and does not hold up the work.
func (s *server) pullStream(r *http.Request, name string, out *stream) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	newest := make(chan answer.Progress, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.Pull(ctx, name, func(p answer.Progress) {
			select {
			case <-newest:
			default:
			}
			select {
			case newest <- p:
			default:
			}
		})
	}()
	for {
		select {
		case p := <-newest:
			if out.line(lineOf(p)) != nil {
				cancel() // nobody reads it
			}
		case err := <-done:
			return s.pulled(out, newest, err)
		}
	}
}

func (s *server) pulled(out *stream, newest chan answer.Progress, err error) error {
	if err != nil && !out.started {
		return err
	}
	select {
	case p := <-newest:
		out.line(lineOf(p))
	default:
	}
	if err != nil {
		s.Log.Warn("pull failed", "error", err)
		out.line(ollama{}.fault(problemOf(err)))
		return nil
	}
	out.line(pullLine{Status: "success"})
	return nil
}
