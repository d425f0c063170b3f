package ollama

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

type pullLine struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// lineOf progress. Clients draw one bar a digest, so each kind of work has one.
func lineOf(p infer.Progress) pullLine {
	l := pullLine{Status: p.What, Total: p.Total, Completed: p.Done}
	if p.Total > 0 {
		l.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(p.What)))
	}
	return l
}

func (s server) pull(w http.ResponseWriter, r *http.Request) error {
	var streams bool
	name, err := s.modelName(w, r, &streams)
	if err != nil {
		return err
	}
	name = exchange.Bare(name)
	if !streams {
		if err := s.Pull(r.Context(), name, func(infer.Progress) {}); err != nil {
			return err
		}
		exchange.WriteJSON(w, http.StatusOK, pullLine{Status: "success"})
		return nil
	}
	return s.pullStream(r, name, s.Stream(w, "application/x-ndjson"))
}

// pullStream sends the newest progress whenever the client can take it: a slow one
// misses some and does not hold up the work.
func (s server) pullStream(r *http.Request, name string, out *exchange.Stream) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	newest := make(chan infer.Progress, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.Pull(ctx, name, func(p infer.Progress) {
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
			if out.Line(lineOf(p)) != nil {
				cancel() // nobody reads it
			}
		case err := <-done:
			return s.pulled(out, newest, err)
		}
	}
}

func (s server) pulled(out *exchange.Stream, newest chan infer.Progress, err error) error {
	if err != nil && !out.Started {
		return err
	}
	select {
	case p := <-newest:
		out.Line(lineOf(p))
	default:
	}
	if err != nil {
		s.Log.Warn("pull failed", "error", err)
		out.Line(Shape{}.Fault(exchange.ProblemOf(err)))
		return nil
	}
	out.Line(pullLine{Status: "success"})
	return nil
}
