package ollama

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"

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
	return s.work(w, r, streams, func(ctx context.Context, progress func(infer.Progress)) error {
		return s.Pull(ctx, exchange.Bare(name), progress)
	})
}

// work does what takes a while, and tells how far it is where the client wants a stream. It
// ends when the client goes.
func (s server) work(w http.ResponseWriter, r *http.Request, streams bool, do func(context.Context, func(infer.Progress)) error) error {
	if !streams {
		if err := do(r.Context(), func(infer.Progress) {}); err != nil {
			return err
		}
		exchange.WriteJSON(w, http.StatusOK, pullLine{Status: "success"})
		return nil
	}
	return s.workStream(r, s.Stream(w, "application/x-ndjson"), do)
}

// workStream sends the newest progress whenever the client can take it: a slow one
// misses some and does not hold up the work. What each step is called is not missed.
func (s server) workStream(r *http.Request, out *exchange.Stream, do func(context.Context, func(infer.Progress)) error) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var lines newest
	lines.there = make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() { done <- do(ctx, lines.put) }()
	for {
		select {
		case <-lines.there:
			if lines.send(out) != nil {
				cancel() // nobody reads it
			}
		case err := <-done:
			return s.worked(out, &lines, err)
		}
	}
}

// newest is the last progress of each step that was not sent yet, in order.
type newest struct {
	there chan struct{} // holds one token when there is something

	sync.Mutex // guards all following
	steps      []infer.Progress
}

// mostSteps are how many steps wait to be sent.
const mostSteps = 32

func (n *newest) put(p infer.Progress) {
	n.Lock()
	if last := len(n.steps) - 1; last >= 0 && (n.steps[last].What == p.What || len(n.steps) >= mostSteps) {
		n.steps[last] = p
	} else {
		n.steps = append(n.steps, p)
	}
	n.Unlock()
	select {
	case n.there <- struct{}{}:
	default:
	}
}

func (n *newest) send(out *exchange.Stream) error {
	n.Lock()
	steps := n.steps
	n.steps = nil
	n.Unlock()
	for _, p := range steps {
		if err := out.Line(lineOf(p)); err != nil {
			return err
		}
	}
	return nil
}

func (s server) worked(out *exchange.Stream, lines *newest, err error) error {
	if err != nil && !out.Started {
		return err
	}
	lines.send(out)
	if err != nil {
		s.Log.Warn("fetching or making a model failed", "error", err)
		out.Line(Shape{}.Fault(exchange.ProblemOf(err)))
		return nil
	}
	out.Line(pullLine{Status: "success"})
	return nil
}
